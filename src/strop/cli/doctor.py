"""`strop doctor`: is everything in place, and what to do where it is not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from strop.cli.options import Database, Directory, Json, noun

app = noun("Check keys, prices, database, versions; each finding with its remedy.")
MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


@app.command()
def doctor(directory: Directory = Path(), database: Database = None, as_json: Json = False) -> int:
    """Check what Strop needs here. Exit code 2 when something must be mended; values of keys are never shown."""
    from strop.cli.checkup import checkup
    from strop.cli.console import emit, show

    found = checkup(directory, database)
    if as_json:
        emit([asdict(one) for one in found])
    else:
        for one in found:
            show(f"{MARKS[one.level]:<8}{one.what}: {one.told}")
            if one.remedy:
                show(f"{'':<8}-> {one.remedy}")
    return 2 if any(one.level == "problem" for one in found) else 0
