"""Predicted against published throughput of GPUs that nobody here can run.

    python benchmarks/gpu_throughput.py TABLE.csv [--cache features.json] [-o PAGE.md]

The table has one row per network and card, as timm publishes them: model, img, batch, macts,
samples_per_sec, device, precision, torch, layout, compile. Networks are built by timm on the
meta device; fitted numbers are printed as `flopwise.analyses.efficiency` writes them.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from flopwise import api, devices  # noqa: E402
from flopwise.analyses.efficiency import GPU, kind  # noqa: E402
from flopwise.analyses.roofline import MIXED  # noqa: E402
from flopwise.errors import FlopwiseError  # noqa: E402
from flopwise.passes.autocast import autocast  # noqa: E402
from flopwise.passes.runtimes import EAGER  # noqa: E402

KINDS = tuple(GPU.shares)
TERMS = [(k, t) for k in KINDS for t in ("compute", "memory")
         if t == "memory" or GPU.shares[k].compute is not None]  # fmt: skip
SEED, DRAWS, MEASURED = 0, 40, 10
PRIOR = 1 / 0.7  # what a share is drawn towards where the networks say little
PULL = 3.0  # how strongly, in networks
GAP = 2e-6


def network(name: str, size: int = 0, fused: int = 0) -> Any:
    """A timm model; with `fused`, branches merged as some of the tables have them."""
    import timm

    model = timm.create_model(name, **({"img_size": size} if size else {})).eval()
    if fused:
        from timm.utils.model import reparameterize_model

        model = reparameterize_model(model)
    return model


def features(row: dict[str, str]) -> dict[str, float]:
    """Operations and bytes by kind of kernel, and the number of kernels, of one row: of the
    form of the network whose activations are those that the table states."""
    found = [_features(row, fused) for fused in (0, 1)]
    wanted = float(row["macts"])
    return min(found, key=lambda f: abs(f["activations"] - wanted) / wanted)


def _features(row: dict[str, str], fused: int) -> dict[str, float]:
    import timm

    side, batch = row["img"], int(row["batch"])
    config = timm.get_pretrained_cfg(row["model"])
    fixed = config is not None and config.fixed_input_size and config.input_size[-1] != int(side)
    source = f"gpu_throughput:network?name={row['model']}&size={side if fixed else 0}&fused={fused}"
    graph = api.load(source, f"{batch}x3x{side}x{side}")
    sums = {"activations": api.count(graph).activations / batch / 1e6, "kernels": 0.0}
    mixed = autocast(graph, MIXED[row["precision"]])
    for group in EAGER.kernels(mixed):
        if group.counts.bytes or group.counts.ops:
            name = kind(group.main)
            for term, amount in (("compute", group.counts.flops), ("memory", group.counts.bytes)):
                sums[f"{name} {term}"] = sums.get(f"{name} {term}", 0.0) + float(amount)
            sums["kernels"] += 1
    return sums


def collect(rows: Sequence[dict[str, str]], cache: Path | None) -> list[dict[str, float] | None]:
    """Features of all rows; None where timm here cannot build the network."""
    from support import torchvision_ops

    torchvision_ops.available()
    known = json.loads(cache.read_text()) if cache is not None and cache.exists() else {}
    for i, row in enumerate(rows):
        key = " ".join(row[k] for k in ("model", "img", "batch", "macts", "precision"))
        if key not in known:
            print(f"{i + 1}/{len(rows)} {row['model']}", file=sys.stderr)
            try:
                known[key] = features(row)
            except FlopwiseError as error:
                print(f"left out: {error}", file=sys.stderr)
                known[key] = None
        row["key"] = key
    if cache is not None:
        cache.write_text(json.dumps(known))
    return [known[row["key"]] for row in rows]


def seconds(row: dict[str, str], found: dict[str, float]) -> numpy.ndarray:
    """What each term would take at peak and full bandwidth; the last, per kernel."""
    card = devices.find(row["device"])
    peak = card.rate(MIXED[row["precision"]])
    rates = {"compute": peak, "memory": card.bandwidth}
    terms = [found.get(f"{k} {t}", 0.0) / rates[t] for k, t in TERMS]
    return numpy.array([*terms, found["kernels"] * 1e-6])


def fit(terms: numpy.ndarray, times: numpy.ndarray, prior: numpy.ndarray, pull: float = PULL,
        floor: float = 1.0) -> numpy.ndarray:  # fmt: skip
    """Reciprocals of shares, at least `floor`, with the least absolute relative errors."""
    scaled, weights, found = terms / times[:, None], numpy.ones(len(times)), prior.copy()
    lowest = numpy.append(numpy.full(terms.shape[1] - 1, floor), 0.0)
    for _ in range(15):
        square = (scaled * weights[:, None]).T @ scaled
        target = (scaled * weights[:, None]).sum(0)
        for _ in range(200):
            for j in range(len(found)):
                rest = target[j] - square[j] @ found + square[j, j] * found[j] + pull * prior[j]
                found[j] = max(lowest[j], rest / (square[j, j] + pull))
        weights = 1 / numpy.maximum(abs(scaled @ found - 1), 0.05)
    return found


def prior() -> numpy.ndarray:
    return numpy.append(numpy.full(len(TERMS), PRIOR), GAP * 1e6)


class Card:
    """The rows of one card: terms, seconds per batch, batch, and what networks they are."""

    def __init__(
        self, name: str, rows: list[dict[str, str]], found: list[dict[str, float]]
    ) -> None:
        self.name, self.rows = name, rows
        self.terms = numpy.array([seconds(r, f) for r, f in zip(rows, found)])
        self.batch = numpy.array([int(r["batch"]) for r in rows])
        self.times = self.batch / numpy.array([float(r["samples_per_sec"]) for r in rows])
        self.macts = numpy.array([float(r["macts"]) for r in rows])
        self.names = [(r["model"], r["img"]) for r in rows]
        compute = [t == "compute" for _, t in TERMS]
        self.flops = self.terms[:, :-1][:, compute].sum(1)
        self.bytes = self.terms[:, :-1][:, [not c for c in compute]].sum(1)

    @property
    def totals(self) -> numpy.ndarray:
        """The two totals that every table has: operations, and elements of activations."""
        card = devices.find(self.rows[0]["device"])
        return numpy.stack([self.flops, 2e6 * self.macts * self.batch / card.bandwidth], 1)


def score(card: Card, predicted: numpy.ndarray, where: Any = slice(None)) -> tuple[float, ...]:
    """Mean and median error, the share within 20 %, and the rank correlation of latencies."""
    error = abs(predicted / card.times - 1)[where]
    ranks = [numpy.argsort(numpy.argsort((t / card.batch)[where])) for t in (predicted, card.times)]
    return (
        float(error.mean()), float(numpy.median(error)), float((error < 0.2).mean()),
        float(numpy.corrcoef(*ranks)[0, 1]),
    )  # fmt: skip


def drawn(card: Card, method: Callable[[numpy.ndarray], numpy.ndarray]) -> tuple[float, ...]:
    """The mean score on the other networks after ten, over random draws of the ten."""
    chance, scores = numpy.random.default_rng(SEED), []
    for _ in range(DRAWS):
        chosen = chance.choice(len(card.times), MEASURED, replace=False)
        rest = numpy.setdiff1d(numpy.arange(len(card.times)), chosen)
        scores.append(score(card, method(chosen), rest))
    return tuple(numpy.mean(scores, 0))


def two_numbers(card: Card, chosen: numpy.ndarray) -> numpy.ndarray:
    """Operations and activations of whole networks, one factor each."""
    scaled = card.totals / card.times[:, None]
    found = numpy.linalg.lstsq(scaled[chosen], numpy.ones(len(chosen)), rcond=None)[0]
    return card.totals @ numpy.maximum(found, 0)


def ratio(card: Card, other: numpy.ndarray, chosen: numpy.ndarray) -> numpy.ndarray:
    """Another prediction, scaled to the median of the measured networks."""
    return other * numpy.median((card.times / other)[chosen])


def evaluate(card: Card, others: list[Card]) -> list[tuple[str, tuple[float, ...]]]:
    """Every method on one card. Nothing of that card enters (a) and the first of (c)."""
    terms = numpy.concatenate([c.terms for c in others])
    shares = fit(terms, numpy.concatenate([c.times for c in others]), prior())
    sheet, ones = card.terms @ shares, card.terms[:, :-1].sum(1)
    rows = [
        ("(a) operations over peak", score(card, card.flops)),
        ("(a) roofline of each kernel's kind, shares of 1", score(card, _roof(card))),
        ("(a) compute and memory added, shares of 1", score(card, ones)),
        ("(a) flopwise, shares fitted on the other card", score(card, sheet)),
        ("(b) two numbers on totals", drawn(card, lambda c: two_numbers(card, c))),
        ("(b) flopwise, one factor", drawn(card, lambda c: ratio(card, sheet, c))),
        ("(b) flopwise, shares drawn towards the other card's", drawn(
            card, lambda c: card.terms @ fit(card.terms[c], card.times[c], shares, floor=0.5))),
    ]  # fmt: skip
    for other in others:
        there = dict(zip(other.names, range(len(other.names))))
        both = [i for i, n in enumerate(card.names) if n in there]
        part, same = _part(card, both), _part(other, [there[card.names[i]] for i in both])
        table = same.times / same.batch * part.batch
        moved = table * (part.terms @ shares) / (same.terms @ shares * part.batch / same.batch)
        title = f"{len(both)} networks of {other.name}"
        rows += [
            (f"(c) table of {title} times flopwise's ratio", score(part, moved)),
            ("(c) the same, after ten networks: table alone", drawn(
                part, lambda c, p=part, t=table: ratio(p, t, c))),
            ("(c) the same, after ten networks: with flopwise's ratio", drawn(
                part, lambda c, p=part, t=moved: ratio(p, t, c))),
        ]  # fmt: skip
    return rows


def _roof(card: Card) -> numpy.ndarray:
    """Per kind of kernel the larger of compute and memory."""
    sums = {k: [0.0, 0.0] for k in KINDS}
    for j, (name, term) in enumerate(TERMS):
        sums[name][term == "memory"] = card.terms[:, j]
    return sum(numpy.maximum(*pair) for pair in sums.values())


def _part(card: Card, chosen: list[int]) -> Card:
    rows = [card.rows[i] for i in chosen]
    part = Card.__new__(Card)
    part.name, part.rows, part.names = card.name, rows, [card.names[i] for i in chosen]
    for field in ("terms", "batch", "times", "macts", "flops", "bytes"):
        setattr(part, field, getattr(card, field)[chosen])
    return part


def page(cards: list[Card], left_out: int) -> str:
    """The document."""
    lines = [HEAD.format(total=sum(len(c.times) for c in cards), left_out=left_out)]
    for card in cards:
        first = card.rows[0]
        lines += [
            f"\n## {card.name}\n",
            f"{len(card.times)} networks; {first['precision']}, {first['layout']}, torch "
            f"{'.'.join(first['torch'])}, {first['compile']}; table `{first['source']}`.\n",
            "| method | mean error | median | within 20 % | rank correlation |",
            "|---|---:|---:|---:|---:|",
        ]
        for name, (mean, middle, near, rank) in evaluate(card, [c for c in cards if c is not card]):
            lines.append(f"| {name} | {mean:.1%} | {middle:.1%} | {near:.0%} | {rank:.3f} |")
    return "\n".join(lines) + "\n"


HEAD = """# Throughput of GPUs, predicted and published

`benchmarks/gpu_throughput.py` writes this page from the inference tables that timm publishes
(https://github.com/huggingface/pytorch-image-models/tree/main/results): {total} rows, {left_out}
left out because timm here cannot build the network. Networks are traced on the meta device at the
batch of the table, casts and types as automatic mixed precision has them, one kernel per
operator; where the table was made with branches merged (MobileOne, RepVGG), so are ours, told by
the activations that the table states. Errors are those of seconds per batch; the rank correlation
is that of seconds per sample.

(a) knows the card's data sheet alone; (b) is told ten networks of the card, drawn at random 40
times, and asked for the others; (c) has the other card's table. Shares are fitted to the
relative errors of networks, drawn towards 0.7 with a weight of three networks; no
setting was chosen by these scores."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with options.table.open(encoding="utf-8") as file:
        rows = [
            r for r in csv.DictReader(file) if r["phase"] == "infer" and r["precision"] in MIXED
        ]
    found = collect(rows, options.cache)
    cards = []
    for name in dict.fromkeys(r["device"] for r in rows):
        pairs = [(r, f) for r, f in zip(rows, found) if r["device"] == name and f is not None]
        cards.append(Card(name, [r for r, _ in pairs], [f for _, f in pairs]))
    text = page(cards, sum(f is None for f in found))
    options.output.write_text(text, encoding="utf-8") if options.output else print(text)
    shares = fit(numpy.concatenate([c.terms for c in cards]),
                 numpy.concatenate([c.times for c in cards]), prior())  # fmt: skip
    for (name, term), value in zip([*TERMS, ("gap", "µs")], [*(1 / shares[:-1]), shares[-1]]):
        print(f"{name} {term} {value:.2f}", file=sys.stderr)


if __name__ == "__main__":
    main()
