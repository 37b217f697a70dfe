"""What can go wrong, each told in one line that says what to do about it."""

from __future__ import annotations


class FlopwiseError(Exception):
    """Any input that flopwise cannot use; its text is one line for the user, whatever
    characters the names in a file hold."""

    def __init__(self, text: str = "") -> None:
        super().__init__(printable(str(text)))


def printable(text: str) -> str:
    """The text without line breaks, colours and other characters that control a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class UnknownFormat(FlopwiseError):
    """No frontend recognises the source."""


class UnreadableModel(FlopwiseError):
    """A frontend recognised the source, and what it holds is broken."""


class UnknownSize(FlopwiseError):
    """A size that the model leaves open and nobody gave."""


class UnknownValue(FlopwiseError):
    """A shape follows from data that is no constant; the operator is listed, not counted."""


class ShapeMismatch(FlopwiseError):
    """Shapes that cannot fit together; the text names the layer and the axis."""


class UnknownName(FlopwiseError):
    """A convention, device, layer or report that does not exist."""


class BadDevice(FlopwiseError):
    """A device file with a number that is missing or cannot be."""


class MissingPackage(FlopwiseError):
    """An optional package that is needed and not installed; the text says what to install."""


def nearest(name: str, names: list[str]) -> str:
    """A half sentence that offers the names most like `name`."""
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {some(sorted(names))}"


def some(names: list[str], most: int = 40) -> str:
    """The names, with commas between; of many the first ones, and how many there are more."""
    if len(names) > most:
        names = [*names[:most], f"and {len(names) - most:,} more"]
    return ", ".join(names) or "none"
