"""A booktabs table with siunitx columns; the cost card and the sentence to cite as comments."""

from __future__ import annotations

import re
from typing import Any

from flopwise.dims import Expr
from flopwise.profile import Line, Profile
from flopwise.reports import percent
from flopwise.reports.card import coverage, facts, methods, missing, program, shape, title
from flopwise.reports.mathematics import latex as mathematics

ROWS_OF_A_PAGE = 45
SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "×": r"$\times$",
    "[": "{[}", "*": "{*}", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


def render(profile: Profile, depth: int | None = None, width: int | None = None) -> str:
    """A `table`, or a `longtable` where the layers do not fit a page; made to be \\input."""
    lines = profile.lines(depth)
    body = [row(line) for line in lines]
    sums = [profile.params, profile.total().mac, profile.value()]
    total = " & ".join([r"\textbf{total}", "", "", *map(number, sums), ""]) + r" \\"
    layers = [numbers(line) for line in lines]
    columns = [sums, *layers]
    frame = _long if len(lines) > ROWS_OF_A_PAGE else _short
    return "\n".join(frame(profile, _columns(columns), [*body, r"\midrule", total]))


def row(line: Line) -> str:
    """A layer; what is not counted is a question mark, never a zero."""
    size = "?" if line.shape is None else shape(line.shape)
    unknown = not line.known and not line.counts.items()
    amounts = ["{?}" if unknown and i else number(n) for i, n in enumerate(numbers(line))]
    share = f"{{{escape(percent(line.share))}}}" if line.share else ""
    return " & ".join([escape(line.name), escape(line.op), escape(size), *amounts, share]) + r" \\"


def numbers(line: Line) -> list[Any]:
    return [line.params, line.counts.mac, line.value]


def number(amount: Any) -> str:
    """Digits for an S column; an expression as mathematics in braces, past the column."""
    if isinstance(amount, Expr):
        return f"{{${mathematics(str(amount))}$}}"
    return "" if amount == 0 else str(amount)


def escape(text: str) -> str:
    """Text that sets as it reads; what plain pdflatex has no letter for, as its code point.

    A bracket or a star after the end of a row would be read as its option.
    """
    return "".join(map(_character, " ".join(text.split())))


def _character(c: str) -> str:
    return SPECIAL.get(c) or (c if ord(c) < 0x180 else f"U+{ord(c):04X}")


def _short(profile: Profile, columns: str, rows: list[str]) -> list[str]:
    return [
        *_comments(profile, "booktabs, siunitx"),
        r"\begin{table}", r"\centering", f"\\caption{{{_caption(profile)}}}",
        f"\\begin{{tabular}}{{{columns}}}", r"\toprule", _headings(profile), r"\midrule",
        *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip


def _long(profile: Profile, columns: str, rows: list[str]) -> list[str]:
    return [
        *_comments(profile, "booktabs, longtable, siunitx"),
        f"\\begin{{longtable}}{{{columns}}}", f"\\caption{{{_caption(profile)}}} \\\\",
        r"\toprule", _headings(profile), r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot",
        *rows, r"\end{longtable}",
    ]  # fmt: skip


def _comments(profile: Profile, packages: str) -> list[str]:
    card = [f"{label}: {text}" for label, text in facts(profile)]
    texts = [f"\\usepackage{{{packages}}}", *card, f"To cite: {methods(profile)}"]
    return ["% " + " ".join(text.split()) for text in texts]


def _caption(profile: Profile) -> str:
    convention, inputs = profile.convention, profile.graph.inputs
    sizes = ", ".join(f"{t.name} {shape(t.shape)} {t.dtype}" for t in inputs)
    batch = "" if profile.batch is None else f", batch {profile.batch}"
    told = [
        f"Cost of {title(profile)}", f"{convention.name}: {convention.statement}",
        f"Input {sizes}{batch}", coverage(profile),
    ]  # fmt: skip
    told += [f"Not counted: {missing(profile)}"] if profile.unknown else []
    return ". ".join(map(escape, [*told, f"Counted with {program()}"])) + "."


def _headings(profile: Profile) -> str:
    names = ["layer", "operator", "output", "{params}", "{MACs}"]
    return " & ".join([*names, f"{{{escape(profile.convention.name)}}}", "{share}"]) + r" \\"


def _columns(amounts: list[list[Any]]) -> str:
    """Text, text, text, three S columns wide enough for their numbers, and the share."""
    return "lll" + "".join(_column([row[i] for row in amounts]) for i in range(3)) + "r"


def _column(amounts: list[Any]) -> str:
    texts = [str(a) for a in amounts if not isinstance(a, Expr)]
    whole = max((len(t.partition(".")[0]) for t in texts), default=1)
    places = max((len(re.sub(r"^[^.]*\.?", "", t)) for t in texts), default=0)
    return f"S[table-format={whole}.{places}, group-minimum-digits=4]"
