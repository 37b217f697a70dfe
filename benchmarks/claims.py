"""Write docs/claims.md: published numbers, how many reconcile explains, and how many wrong ones.

Run from the repository with timm, torchvision and transformers installed:
`.venv/bin/python benchmarks/claims.py WORK.jsonl`. Each claim's result is kept in WORK.jsonl,
so that a run which was stopped goes on where it was; the page is written when all are there, or
with `--write` from those that are, and says how many are not.
`--seen` leaves the claims out that are held out. Models under ../shared are read, never copied.

A wrong claim is a true one times 0.60 to 0.97 or 1.03 to 1.40, written with as many digits.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from csv import DictReader
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from flopwise import api
from flopwise.analyses.reconcile import Claim, parse_claim
from flopwise.analyses.reconcile.readings import readings
from flopwise.analyses.reconcile.search import search
from flopwise.analyses.reconcile.variants import variants
from flopwise.dims import Dim
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph
from flopwise.profile import Profile
from flopwise.reports.reconciliation import words

ROOT = Path(__file__).parents[1]
WRONG = 20
KINDS = ("author", "collection", "counter")


def options(text: str) -> dict[str, Any]:
    """`1x3x224x224`, `prompt=128` or `input_values=1x16000` as options of `count`."""
    name, _, value = text.partition("=")
    if not value:
        return {"inputs": text or None}
    return {"prompt": int(value)} if name == "prompt" else {"inputs": {name: value}}


@cache
def count(model: str, given: str) -> Profile:
    source = str(ROOT / model) if "/" in model.partition(":")[0] else model
    return api.count(source, **options(given))


def rebuild(model: str, base: Profile) -> Callable[[Dim, Dim], Graph]:
    """The same model at another image size."""

    def build(height: Dim, width: Dim) -> Graph:
        image = base.graph.inputs[0]
        source = str(ROOT / model) if "/" in model.partition(":")[0] else model
        return api.load(source, {image.name: (*image.sizes[:2], height, width)})

    return build


def altered(claim: Claim, chance: random.Random) -> Claim:
    """A wrong claim, with the digits of the true one."""
    factor = Decimal(chance.choice((chance.uniform(0.6, 0.97), chance.uniform(1.03, 1.4))))
    value = (claim.value * factor / claim.precision).to_integral_value() * claim.precision
    return replace(claim, value=value)


def key(row: dict[str, str]) -> str:
    return f"{row['model']} {row['input']} {row['claim']}"


def judge(row: dict[str, str]) -> dict[str, Any]:
    """What reconcile says of a claim, and of wrong ones like it."""
    claim, chance = parse_claim(row["claim"]), random.Random(row["model"] + row["claim"])
    try:
        base = count(row["model"], row["input"])
    except FlopwiseError as error:
        print(f"{row['model']}: {error}", file=sys.stderr)
        return {"error": str(error)}
    start = time.process_time()
    found = [*readings([*variants(base, claim, rebuild(row["model"], base))], claim)]
    verdict = search(claim, found)
    seconds = time.process_time() - start
    wrong = sum(search(altered(claim, chance), found).explained for _ in range(WRONG))
    best = verdict.explanations[0] if verdict.explained else None
    return {
        "explained": verdict.explained, "wrong": wrong, "seconds": seconds,
        "value": f"{best.reading.value:,.0f}" if best else "-",
        "reading": words(best.reading) if best else "-",
        "chance": f"{best.chance:.1%}" if best else "-",
    }  # fmt: skip


def rate(results: list[dict[str, Any]]) -> str:
    explained, wrong = sum(r["explained"] for r in results), sum(r["wrong"] for r in results)
    tried = WRONG * len(results)
    seconds = sum(r["seconds"] for r in results) / len(results)
    cells = (len(results), f"{explained} ({explained / len(results):.0%})", f"{tried:,}",
             f"{wrong} ({wrong / tried:.1%})", f"{seconds:.2f}")  # fmt: skip
    return " | ".join(map(str, cells))


def line(row: dict[str, str], result: dict[str, Any]) -> str:
    name = row["model"].partition("=")[2] or row["model"].rpartition(":")[2]
    name = name if "/" not in name else Path(name).name
    cells = (name, row["input"], row["claim"], result["value"], result["reading"],
             result["chance"], row["source"], row["checked"] or "-")  # fmt: skip
    return f"| {' | '.join(cells)} |"


PAGE = """# Published numbers, explained

What `flopwise reconcile` says of numbers that papers, model cards and other counters publish.
Written by `benchmarks/claims.py` from `benchmarks/claims.csv`.

| claims | number | explained | wrong ones tried | wrong ones explained | mean seconds |
| --- | ---: | ---: | ---: | ---: | ---: |
| all | {all} |
| seen while the readings were set | {seen} |
| held out | {held} |
| authors: papers, model cards, their repositories | {author} |
| collections of models | {collection} |
| what counters print | {counter} |

A wrong claim is one of these times 0.60 to 0.97 or 1.03 to 1.40, written with as many digits:
a number that is nobody's, and that should not be explained. Seconds are the processor's, of a
reconcile after the model is loaded. How common each reading is taken to be was set with the seen
claims in view. Those held out were gathered after: {fresh} claims of authors, from the tables of
nine repositories, written down before any was run, most of them about networks that no seen claim
is about. On their first and only run before a change {first} were explained ({share}), and {wrong}
of {tried} wrong ones ({wrong_share}); the columns `first` and `first_wrong` of the file keep that.
The table has what is found now: after that run came the reading of zeros at the end as no digits
(seen claims such as BERT's 340M had suggested it) and the convention `thop-2019`, both for
failures among the seen ones.

Of the seen ones, 125 had been held out once, and 86 of them were explained on their first run
(69 %; five of the failures were another model than the claim's). The conventions `mmcv`,
`imgclsmob` and `openvino` and the reading of parameters without batch norms came from those.

"By chance" is the share of unrelated numbers near the claim that readings as common as this one
would have explained too. Of {number} claims, {checked} were compared with the source in the last
column; "-" there means that the source could not be opened and the number is from memory.
{missing} more claims of the file were not run here, for want of time or of the model.

"""
HEADER = """| model | input | claim | value | reading | by chance | source | seen in |
|---|---|---|---:|---|---:|---|---|
"""


def first_run(rows: list[dict[str, str]]) -> dict[str, str]:
    """What the fresh claims gave before anybody had looked at what they gave."""
    fresh = [row for row in rows if row["first"]]
    explained = sum(row["first"] == "yes" for row in fresh)
    wrong, tried = sum(int(row["first_wrong"]) for row in fresh), WRONG * len(fresh)
    return {
        "fresh": str(len(fresh)), "first": str(explained), "share": f"{explained / len(fresh):.0%}",
        "wrong": str(wrong), "tried": f"{tried:,}", "wrong_share": f"{wrong / tried:.1%}",
    }  # fmt: skip


def write(rows: list[dict[str, str]], results: dict[str, dict[str, Any]]) -> None:
    run = [(row, results[key(row)]) for row in rows if key(row) in results]
    pairs = [(row, r) for row, r in run if "error" not in r]
    parts = {held: [p for p in pairs if bool(p[0]["held_out"]) == held] for held in (False, True)}
    kinds = {kind: rate([r for row, r in pairs if row["kind"] == kind]) for kind in KINDS}
    text = PAGE.format(
        **kinds, **first_run(rows), all=rate([r for _, r in pairs]),
        seen=rate([r for _, r in parts[False]]),
        held=rate([r for _, r in parts[True]]), number=len(pairs), missing=len(rows) - len(pairs),
        checked=sum(bool(row["checked"]) for row, _ in pairs),
    )  # fmt: skip
    for held, title in ((False, "Seen"), (True, "Held out")):
        text += f"## {title}\n\n{HEADER}" + "\n".join(line(*p) for p in parts[held]) + "\n\n"
    (ROOT / "docs" / "claims.md").write_text(text.rstrip() + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--seen", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from support.torchvision_ops import available

    available()
    with (ROOT / "benchmarks" / "claims.csv").open(encoding="utf-8") as file:
        rows = [r for r in DictReader(file) if not (given.seen and r["held_out"])]
    lines = given.work.read_text().splitlines() if given.work.exists() else []
    results = dict(map(json.loads, lines))
    for row in [] if given.write else sorted(rows, key=lambda r: (r["model"], r["input"])):
        if key(row) not in results:
            results[key(row)] = judge(row)
            with given.work.open("a") as file:
                file.write(json.dumps((key(row), results[key(row)])) + "\n")
    if given.seen:
        print(rate([r for r in (results[key(row)] for row in rows) if "error" not in r]))
    else:
        write(rows, results)


if __name__ == "__main__":
    main()
