"""How fast coding agents' histories are imported, beside `orjson.loads` alone on the same bytes, and in what memory.

Measured twice: the importers alone ("read"), and the whole command, which redacts, flags, judges and stores as well.
The history is many sessions of many turns, with results of tools of a few kB. Both sides read the same files; orjson
gets documents whole, JSON lines one by one, and a database's cells one by one.
"""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import side_by_side
from histories import GROWN, SEED, Pages
from side_by_side import Figures, Line, Stopwatch, best

MB, QUICK_MB = 200, 10
AT_MOST = 2.0
"""The target: importing takes at most this many times what orjson takes to parse."""


def memory_mb(what: str) -> float:
    """A figure of this process's memory (VmRSS, or VmHWM for its peak); Linux only."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB$", status, re.MULTILINE)[1]) / 1024  # pyright: ignore[reportOptionalSubscript]


def pieces(place: Path) -> Iterator[bytes]:
    """The JSON texts of a history, as its reader has to take them."""
    for file in sorted(place.iterdir()):
        if file.suffix == ".db":
            store = sqlite3.connect(file)
            store.text_factory = bytes
            for table in ("message", "part"):
                yield from (row[0] for row in store.execute(f"SELECT data FROM {table}"))
            store.close()
        elif file.suffix == ".jsonl":
            with file.open("rb", buffering=2**20) as lines:
                yield from lines
        else:
            yield file.read_bytes()


def theirs(*, place: str) -> Figures:
    import orjson

    with Stopwatch() as watch:
        for piece in pieces(Path(place)):
            orjson.loads(piece)
    return {"wall": watch.wall, "cpu": watch.cpu}


def ours(*, place: str, client: str) -> Figures:
    from strop.agents.importers import importer_for
    from strop.agents.transcript import Refusal

    importer = importer_for(client.removesuffix("-db"))
    counted = dict.fromkeys(("sessions", "turns", "steps"), 0)
    since = datetime(2000, 1, 1, tzinfo=UTC)
    before = memory_mb("VmRSS")
    with Stopwatch() as watch:
        for found in importer.read(Path(place), since):
            if isinstance(found, Refusal):
                raise RuntimeError(f"refused: {found}")
            counted["sessions"] += 1
            counted["turns"] += len(found.turns)
            counted["steps"] += sum(len(turn.steps) for turn in found.turns)
    if not all(counted.values()):
        raise RuntimeError(f"nothing was read: {counted}")
    return {"wall": watch.wall, "cpu": watch.cpu, "memory": memory_mb("VmHWM") - before}


def archived(*, place: str, client: str) -> Figures:
    """The whole command: read, redacted, judged and stored in a database.

    What a process loads once is no part of it; numpy would be loaded at the first redaction.
    """
    import numpy  # noqa: F401

    from strop.agents import AgentArchive, Wanted, import_history
    from strop.store import Store

    with tempfile.TemporaryDirectory() as directory:
        store = Store.open(f"sqlite:///{directory}/strop.db")
        wanted = Wanted(paths=[Path(place)], client=client.removesuffix("-db"))
        before = memory_mb("VmRSS")
        with Stopwatch() as watch:
            report = import_history(AgentArchive(store), wanted)
        store.close()
    if report.refused or not report.sessions:
        raise RuntimeError(f"refused: {report.refusals[:3]}, {report.sessions} sessions")
    return {"wall": watch.wall, "cpu": watch.cpu, "memory": memory_mb("VmHWM") - before}


CASES = {"ours": ours, "theirs": theirs, "archived": archived}


def measure(quick: bool) -> Iterator[Line]:
    size = (QUICK_MB if quick else MB) * 2**20 // len(GROWN)
    pages = Pages(random.Random(SEED))
    total = {"theirs": 0.0, "ours": 0.0, "archived": 0.0}
    wall = {"theirs": 0.0, "archived": 0.0}
    held, stored, parsed = 0.0, 0.0, 0.0
    whole: list[Line] = []
    with tempfile.TemporaryDirectory() as directory:
        for client, grow in GROWN.items():
            place = Path(directory) / client
            grow(place, pages, size)
            megabytes = sum(map(len, pieces(place))) / 1e6
            sides = {
                "theirs": {"case": "theirs", "place": str(place)},
                "ours": {"case": "ours", "place": str(place), "client": client},
                "archived": {"case": "archived", "place": str(place), "client": client},
            }
            found = best("imports", sides, repetitions=2 if quick else 3)
            shutil.rmtree(place)
            for side in total:
                total[side] += found[side]["cpu"]
            for side in wall:
                wall[side] += found[side]["wall"]
            held, stored = max(held, found["ours"]["memory"]), max(stored, found["archived"]["memory"])
            parsed += megabytes
            cpu = {side: found[side]["cpu"] for side in total}
            yield line(f"{client}, {megabytes:,.0f} MB, read", cpu["ours"], cpu["theirs"])
            whole.append(line(f"{client}, redacted and stored", cpu["archived"], cpu["theirs"]))
    yield line(f"all of them, {parsed:,.0f} MB, read", total["ours"], total["theirs"])
    yield speed("all of them, read: speed", parsed, total["ours"], total["theirs"])
    yield from whole
    yield line("all of them, redacted and stored", total["archived"], total["theirs"])
    yield speed("all of them, redacted and stored: speed", parsed, total["archived"], total["theirs"])
    yield Line(what="all of them, redacted and stored", unit="wall s", ours=wall["archived"], theirs=wall["theirs"])
    yield Line(what="peak memory beyond the start, read, the largest", unit="MB", ours=held, theirs=None)
    yield Line(what="peak memory, redacted and stored, the largest", unit="MB", ours=stored, theirs=None)


def line(what: str, mine: float, other: float) -> Line:
    return Line(what=what, unit="CPU s", ours=mine, theirs=other, target="ratio <= 2", met=mine <= AT_MOST * other)


def speed(what: str, megabytes: float, mine: float, other: float) -> Line:
    return Line(what=what, unit="MB/s", ours=megabytes / mine, theirs=megabytes / other)


if __name__ == "__main__":
    # The table of this part compares with another party than the others do.
    side_by_side.HEADS = tuple(head.replace("DSPy", "orjson") for head in side_by_side.HEADS)
    side_by_side.main(CASES, measure)
