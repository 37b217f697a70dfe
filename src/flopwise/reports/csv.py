"""CSV: one row per layer, with exact numbers, for programs.

No totals and no comments, so that a column can be summed as it is.
"""

from __future__ import annotations

import csv
import io

from flopwise.profile import Profile
from flopwise.reports.frames import COLUMNS, records


def render(profile: Profile, depth: int | None = None, width: int | None = None) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in records(profile, depth):
        writer.writerow({**row, "counted": str(row["counted"]).lower()})
    return text.getvalue().rstrip("\n")
