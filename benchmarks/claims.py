"""Write docs/claims.md: published numbers, how many reconcile explains, and how many wrong ones.

Run from the repository with timm and torchvision installed:
`.venv/bin/python benchmarks/claims.py`. A wrong claim is a true one times 0.60 to 0.97 or
1.03 to 1.40, written with as many digits.
"""

import csv
import random
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from flopwise import api
from flopwise.analyses.reconcile import Claim, parse_claim
from flopwise.analyses.reconcile.readings import readings
from flopwise.analyses.reconcile.search import search
from flopwise.analyses.reconcile.variants import variants
from flopwise.errors import FlopwiseError
from flopwise.profile import Profile

ROOT = Path(__file__).parents[1]
WRONG = 40


def rebuild(model: str, base: Profile) -> Any:
    """The same model at another image size."""

    def build(height: Any, width: Any) -> Any:
        image = base.graph.inputs[0]
        return api.load(model, {image.name: (*image.sizes[:2], height, width)})

    return build


def altered(claim: Claim, chance: random.Random) -> Claim:
    """A wrong claim, with the digits of the true one."""
    factor = Decimal(chance.choice((chance.uniform(0.6, 0.97), chance.uniform(1.03, 1.4))))
    unit = claim.half * 2
    value = (claim.value * factor / unit).to_integral_value() * unit
    return Claim(claim.text, value, claim.unit, claim.half, claim.power, claim.size)


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from support.torchvision_ops import available

    available()

    chance = random.Random(0)
    lines, explained, wrong, tried, seconds = [], 0, 0, 0, 0.0
    profiles: dict[tuple[str, str], Profile] = {}
    with (ROOT / "benchmarks" / "claims.csv").open() as file:
        claims = list(csv.DictReader(file))
    for row in claims:
        key = row["model"], row["input"]
        try:
            base = profiles.setdefault(key, api.count(row["model"], row["input"]))
        except FlopwiseError as error:
            print(f"{row['model']}: {error}", file=sys.stderr)
            continue
        claim = parse_claim(row["claim"])
        start = time.perf_counter()
        found = list(variants(base, claim, rebuild(row["model"], base)))
        verdict = search(claim, readings(found, claim))
        seconds += time.perf_counter() - start
        explained += verdict.explained
        tried += WRONG
        for _ in range(WRONG):
            other = altered(claim, chance)
            wrong += search(other, readings(found, other)).explained
        best = verdict.explanations[0] if verdict.explained else None
        said = f"{best.reading.counted}; {', '.join(best.reading.departures)}" if best else "-"
        value = f"{best.reading.value:,.0f}" if best else "-"
        name = row["model"].partition("=")[2] or row["model"].rpartition(":")[2]
        odds = f"{best.chance:.1%}" if best else "-"
        lines.append(f"| {name} | {row['claim']} | {value} | {said} | {odds} | {row['source']} |")
    count = len(lines)
    text = (
        "# Published numbers, explained\n\n"
        f"{explained} of {count} published claims are explained ({explained / count:.0%}). "
        f"Of {tried} wrong ones (the same, altered by 3 to 40 %), {wrong} are "
        f"({wrong / tried:.1%}). Mean time of a reconcile after the model "
        f"is loaded: {seconds / count:.2f} s. Written by "
        "`benchmarks/claims.py`.\n\n"
        "| model | claim | value | reading | by chance | source |\n|---|---|---:|---|---:|---|\n"
    )
    (ROOT / "docs" / "claims.md").write_text(text + "\n".join(lines) + "\n")
    print(text)


if __name__ == "__main__":
    main()
