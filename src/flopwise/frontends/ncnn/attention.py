"""Sequences in ncnn: recurrent layers, attention, matrix products, embeddings, spectra."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.ncnn.native import Native, lowers
from flopwise.graph import Tensor

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
BIASES = {"RNN": 1, "LSTM": 4, "GRU": 4}  # the candidate of a GRU has two


@lowers("RNN", "LSTM", "GRU")
def recurrent(n: Native) -> None:
    """Weights of the data, biases, weights of the state, and a projection where
    there is one; all of either direction. States may be blobs."""
    p, gates, d = n.integer(0), GATES[n.kind], 2 if n.integer(2) == 2 else 1
    h = n.integer(3, p) if n.kind == "LSTM" else p
    if h < 1 or n.integer(1) % (d * gates * h) or n.integer(1) < 1:
        raise UnreadableModel(f"{n.integer(1)} weights do not divide among {d * gates * h} rows")
    width = n.integer(1) // (d * gates * h)
    dtype = "int8" if n.integer(8) else "float32"
    weights = (
        n.weight("weight_xc", d, gates * h, width, dtype=dtype),
        n.weight("bias_c", d, BIASES[n.kind], h),
        n.weight("weight_hc", d, gates * h, p, dtype=dtype),
        n.weight("weight_hr", d, p, h, dtype=dtype) if h != p else None,
    )
    states = (*n.inputs[1:3], None, None)[:2]
    pattern = (
        "n t i, _: d g i, bias?: _ _ _, _: d g p, _?: d p h, _?: *_, _?: *_ -> n t o, n s p, n s h"
    )
    attrs: dict[str, Any] = {"projection": p} if h != p else {}
    n.emit(
        n.kind.lower(), n.inputs[0], *weights, *states, pattern=pattern, hidden=h, directions=d,
        biases=1, rank=2, **attrs,
    )  # fmt: skip


@lowers("Embed")
def embed(n: Native) -> None:
    d, v = n.integer(0), n.integer(1)
    dtype = "int8" if n.integer(18) else "float32"
    weight = n.weight("weight", v, d, dtype=dtype)
    if not n.integer(2):
        n.emit("embedding", n.inputs[0], weight, v=v, d=d, rank=n.rank + 1, dtype="float32")
        return
    rows = n.emit("embedding", n.inputs[0], weight, part="rows", v=v, d=d, dtype="float32")
    n.emit("add", rows, n.weight("bias", d), like=0, rank=n.rank + 1)


def stored(term: int) -> str:
    """The type of quantised weights: 8 bits, or 4xx, 6xx, 8xx bits in blocks."""
    if not term:
        return "float32"
    bits = term // 100 if term >= 400 else 8
    if bits not in (4, 8):
        raise UnreadableModel(f"weights of {bits} bits")
    return f"int{bits}"


@lowers("MultiHeadAttention")
def multi_head_attention(n: Native) -> None:
    """Blobs: queries, keys, values (later ones default to earlier), a mask, a cache."""
    if n.integer(7):
        n.unknown()  # how much the cache holds is told at run time
        return
    e, heads = n.integer(0), n.integer(1, 1)
    data = n.inputs[: len(n.inputs) - bool(n.integer(5))]
    widths = (n.integer(2) // e, n.integer(3, e), n.integer(4, e))
    sources = (data[0], data[min(1, len(data) - 1)], data[min(2, len(data) - 1)])
    dtype = stored(n.integer(18))
    q, k, v = (
        n.emit("linear", x, n.weight(f"{name}_weight", e, width, dtype=dtype),
               n.weight(f"{name}_bias", e), part=name, o=e)
        for x, name, width in zip(sources, "qkv", widths)
    )  # fmt: skip
    mask = n.inputs[-1] if n.integer(5) else None
    y = n.emit("multi_head_attention", q, k, v, mask, part="attention", heads=heads)
    weight, bias = (
        n.weight("out_weight", widths[0], e, dtype=dtype),
        n.weight("out_bias", widths[0]),
    )
    n.emit("linear", y, weight, bias, o=widths[0])


@lowers("SDPA")
def attention(n: Native) -> None:
    """Blobs: queries, keys, values, a mask, and what a cache holds, which grows by the new."""
    query, key, value = n.inputs[:3]
    mask = n.inputs[3] if n.integer(5) else None
    if n.integer(7):
        if len(n.inputs) < 5 or len(n.tops) != 3:
            raise UnreadableModel("a cache is two blobs more, and two tops")
        past = n.inputs[-2:]
        key = n.emit("concat", past[0], key, to=n.tops[1:2], axis=-2)
        value = n.emit("concat", past[1], value, to=n.tops[2:], axis=-2)
    n.emit("attention", query, key, value, mask, to=n.tops[:1])


@lowers("RotaryEmbed")
def rotary(n: Native) -> None:
    n.emit("rotary_embedding", *n.inputs)


@lowers("Gemm")
def gemm(n: Native) -> None:
    """alpha A B + beta C, each of them a blob or stored."""
    blobs, dtype = list(n.inputs), stored(n.integer(18))
    m, columns, k = n.integer(7), n.integer(8), n.integer(9)
    a, b = "k m" if n.integer(2) else "m k", "n k" if n.integer(3) else "k n"
    rank = max(n.ranks[: 2 - n.integer(4) - n.integer(5)], default=2)
    x = (
        n.weight("A", *((k, m) if n.integer(2) else (m, k)), dtype=dtype)
        if n.integer(4)
        else blobs.pop(0)
    )
    if n.integer(5):
        y = n.weight("B", *((columns, k) if n.integer(3) else (k, columns)), dtype=dtype)
    else:
        y = blobs.pop(0)
    pattern = f"{a if n.integer(4) else '*b ' + a}, {b if n.integer(5) else '*b ' + b} -> *b m n"
    steps: list[Step] = [("matmul", (x, y), {"pattern": pattern})]
    if n.real(0, 1.0) != 1:
        steps.append(("mul", (), {}))
    if (addend := _addend(n, blobs, m, columns)) is not None:
        steps.append(("add", (addend,), {}))
    if n.integer(14):
        steps.append(("transpose", (), {"perm": (*range(rank - 1), rank, rank - 1)}))
    _chain(n, steps, rank)


Step = tuple[str, tuple[Tensor, ...], dict[str, Any]]


def _chain(n: Native, steps: list[Step], rank: int) -> None:
    """Each step works on what the one before it made."""
    made: tuple[Tensor, ...] = ()
    for op, operands, attrs in steps[:-1]:
        made = (n.emit(op, *made, *operands, part=op, **attrs),)
    op, operands, attrs = steps[-1]
    n.emit(op, *made, *operands, rank=rank, **attrs)


def _addend(n: Native, blobs: list[Tensor], m: int, columns: int) -> Tensor | None:
    """C: a number, a column, a matrix or a row."""
    kind = n.integer(10)
    if n.integer(6):
        if kind == -1:
            return None
        shapes = {0: (1,), 1: (m, 1), 2: (m, 1), 3: (m, columns), 4: (columns,)}
        c = n.weight("C", *shapes[kind])
    elif blobs:
        c = blobs[0]
    else:
        return None
    return n.emit("mul", c, part="beta") if n.real(1, 1.0) not in (0, 1) else c


@lowers("MatMul")
def matmul(n: Native) -> None:
    """As numpy has it. Blobs of unlike rank get leading axes behind the batch."""
    rank, operands = max(n.ranks), list(n.inputs)
    if min(n.ranks) == 1:
        _vector(n)
        return
    for i in range(2):
        if n.ranks[i] < rank:
            axes = [*range(1, 1 + rank - n.ranks[i])]
            operands[i] = n.emit("unsqueeze", operands[i], part=f"axes {i}", axes=axes)
    b = "n k" if n.integer(0) else "k n"
    n.emit("matmul", *operands, pattern=f"*p m k, *q {b} -> *b m n", rank=rank)


def _vector(n: Native) -> None:
    """A vector of each of the batch against a matrix, or against another vector."""
    if max(n.ranks) == 1:
        n.emit("matmul", *n.inputs, pattern="*b k, *b k -> *b", part="dot")
        dot = Tensor(f"{n.name}/dot")
        n.emit("unsqueeze", dot, axes=[1], rank=1)
    elif n.ranks[0] == 1:
        b = "n k" if n.integer(0) else "k n"
        n.emit(
            "einsum", *n.inputs, equation=f"bk,b...{b.replace(' ', '')}->b...n", rank=n.ranks[1] - 1
        )
    else:
        n.emit("einsum", *n.inputs, equation="b...mk,bk->b...m", rank=n.ranks[0] - 1)


@lowers("Einsum")
def einsum(n: Native) -> None:
    """The equation is stored as the codes of its letters; a batch is put in front."""
    codes = n.params.get(0)
    text = "".join(map(chr, codes)) if isinstance(codes, list) else str(codes)
    left, _, right = text.partition("->")
    terms = ",".join("Z" + term.strip() for term in left.split(","))
    n.emit("einsum", *n.inputs, equation=f"{terms}->Z{right.strip()}", rank=max(len(right), 1))


@lowers("Spectrogram")
def spectrogram(n: Native) -> None:
    """Power 0 keeps real and imaginary parts, 1 gives magnitudes, 2 their squares."""
    frame = n.integer(0)
    attrs: dict[str, Any] = {
        "frame": frame, "hop": n.integer(2, frame // 4), "onesided": bool(n.integer(8, 1)),
        "windowed": True, "pad": frame // 2 if n.integer(5, 1) else 0, "complex_last": False,
    }  # fmt: skip
    if n.integer(1) == 0:
        spectrum = n.emit("stft", n.inputs[0], part="complex", **attrs)
        n.emit("stack", spectrum, spectrum, axis=-1, rank=3)
        return
    spectrum = n.emit("stft", n.inputs[0], part="spectrum", **attrs)
    parts = [n.emit("square", spectrum, part=p) for p in ("real", "imaginary")]
    if n.integer(1) == 2:
        n.emit("add", *parts, rank=2)
    else:
        n.emit("sqrt", n.emit("add", *parts, part="power"), rank=2)
