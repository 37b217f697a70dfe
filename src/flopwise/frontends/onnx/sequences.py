"""Sequences, optionals and texts of ai.onnx.

A sequence of tensors of one shape is one tensor, with the sequence as its first axis.
"""

from __future__ import annotations

from flopwise.frontends.onnx.native import Native, lowers, same_meaning
from flopwise.frontends.onnx.tensors import DTYPES

same_meaning({
    "SequenceInsert": "sequence_insert", "SequenceErase": "sequence_erase",
    "SequenceLength": "sequence_length", "OptionalHasElement": "has_element",
    "StringConcat": "text_concat", "RegexFullMatch": "text_match",
})  # fmt: skip


@lowers("SequenceAt")
def sequence_at(n: Native) -> None:
    n.emit("select", n.given(0), axis=0)


@lowers("SequenceConstruct")
def sequence_construct(n: Native) -> None:
    n.emit("sequence", *n.inputs)


@lowers("SequenceEmpty")
def sequence_empty(n: Native) -> None:
    n.emit("sequence", dtype=DTYPES[n.integer("dtype", 1)])


@lowers("ConcatFromSequence")
def concat_from_sequence(n: Native) -> None:
    n.emit("sequence_concat", n.given(0), axis=n.integer("axis"), new=bool(n.integer("new_axis")))


@lowers("SplitToSequence")
def split_to_sequence(n: Native) -> None:
    keep = n.input(1) is not None or n.integer("keepdims", 1) == 1
    n.emit("sequence_split", *n.inputs, axis=n.integer("axis"), keep=keep)


@lowers("Optional")
def optional(n: Native) -> None:
    """What it holds; an empty one has no elements."""
    if n.inputs:
        n.emit("identity", n.given(0))
    else:
        n.emit("sequence", dtype=None)


@lowers("OptionalGetElement")
def optional_element(n: Native) -> None:
    n.emit("identity", n.given(0))


@lowers("StringNormalizer")
def string_normalizer(n: Native) -> None:
    """Where words are dropped, how many is data."""
    n.emit("text_normalize", n.given(0), drops=bool(n.texts("stopwords")))


@lowers("StringSplit")
def string_split(n: Native) -> None:
    n.emit("text_split", n.given(0), dtype=("string", "int64"), most=n.free())


@lowers("TfIdfVectorizer")
def tfidf(n: Native) -> None:
    """Counts of n-grams, weighted by IDF where the mode says so."""
    places = n.integers("ngram_indexes") or (0,)
    weighted = n.text("mode") in ("IDF", "TFIDF")
    n.emit("ngrams", n.given(0), size=max(places) + 1, weighted=weighted, dtype="float32")
