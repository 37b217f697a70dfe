"""Why a published number and ours differ: search the honest readings of a count."""

from __future__ import annotations

from dataclasses import replace

from flopwise.analyses.reconcile.claim import Claim, parse_claim
from flopwise.analyses.reconcile.readings import Reading, readings
from flopwise.analyses.reconcile.search import Explanation, Verdict, search
from flopwise.analyses.reconcile.variants import Rebuild, variants
from flopwise.errors import UnknownSize
from flopwise.profile import Profile

__all__ = ["Claim", "Explanation", "Reading", "Verdict", "parse_claim", "reconcile"]


def reconcile(
    base: Profile, claim: Claim, rebuild: Rebuild | None = None, tool: str = ""
) -> Verdict:
    """Search the readings of a network that explain a claim.

    `rebuild` gives the graph at another image size; without it the network is read at its
    own size only. `tool` is the convention that the claim is known to come from. Raises
    UnknownSize where sizes are free.
    """
    if not isinstance(base.total().mac, int) or not isinstance(base.params, int):
        raise UnknownSize("a claim is a number: give every size of the inputs as one")
    said: list[str] = []
    found = [*variants(base, claim, rebuild, said)]
    return replace(search(claim, readings(found, claim, tool)), unsearched="; ".join(said))
