"""Seats for train, dev and test: how many rows each set gets, and which units of rows fill them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from strop.datasets.example import Example

SetName = Literal["train", "dev", "test"]

FLOOR = 2
"""Rows below which a set is of no use."""

ROWS_FOR_A_TEST = 3 * FLOOR
CUT: tuple[SetName, ...] = ("test", "dev")
"""The sets that are cut, in this order; train is what remains."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Examples that stay together; `rank` is the hash that places them."""

    examples: tuple[Example, ...]
    rank: str
    stratum: str

    def __len__(self) -> int:
        return len(self.examples)


def sizes_for(rows: int, *, dev: float, test: float) -> dict[SetName, int]:
    """Rows that each set should get; sets that are not to be made are left out."""
    if rows < ROWS_FOR_A_TEST and test > 0:
        dev, test = dev / (1 - test) if test < 1 else 0.0, 0.0
    if rows < 2 * FLOOR:
        dev = 0.0
    sizes: dict[SetName, int] = {}
    for name, share in zip(CUT, (test, dev), strict=True):
        if share > 0:
            sizes[name] = max(FLOOR, math.floor(share * rows + 0.5))
    while sum(sizes.values()) > rows - FLOOR and any(size > FLOOR for size in sizes.values()):
        sizes[max(sizes, key=lambda each: sizes[each])] -= 1
    sizes["train"] = rows - sum(sizes.values())
    return sizes


def place(units: Iterable[Unit], sizes: Mapping[SetName, int]) -> dict[SetName, list[Unit]]:
    """Test first, then dev, from the lowest hash up in every stratum; train is what remains."""
    free: dict[str, list[Unit]] = defaultdict(list)
    for unit in sorted(units, key=lambda each: each.rank):
        free[unit.stratum].append(unit)
    rows = {stratum: sum(map(len, members)) for stratum, members in free.items()}
    placed: dict[SetName, list[Unit]] = {"train": [], "dev": [], "test": []}
    for name in CUT:
        left = {stratum: sum(map(len, members)) for stratum, members in free.items()}
        for stratum, quota in _apportion(sizes.get(name, 0), rows, left).items():
            taken, free[stratum] = _take(free[stratum], quota)
            placed[name] += taken
    placed["train"] = [unit for members in free.values() for unit in members]
    _raise_to_floor(placed, sizes)
    return placed


def _apportion(total: int, rows: Mapping[str, int], left: Mapping[str, int]) -> dict[str, int]:
    """`total` seats over the strata in proportion to their rows, by largest remainder, at most `left` to each."""
    everything = sum(rows.values())
    quotas = {stratum: min(total * rows[stratum] // everything, left[stratum]) for stratum in rows}
    by_remainder = sorted(rows, key=lambda each: (-(total * rows[each] % everything), each))
    while (missing := min(total, sum(left.values())) - sum(quotas.values())) > 0:
        open_strata = [stratum for stratum in by_remainder if quotas[stratum] < left[stratum]]
        for stratum in open_strata[:missing]:
            quotas[stratum] += 1
    return quotas


def _take(units: Sequence[Unit], quota: int) -> tuple[list[Unit], list[Unit]]:
    """Units in order until `quota` rows are reached; one that would overshoot by more than half of itself is passed."""
    taken: list[Unit] = []
    kept: list[Unit] = []
    rows = 0
    for unit in units:
        if rows + len(unit) / 2 <= quota and rows < quota:
            taken.append(unit)
            rows += len(unit)
        else:
            kept.append(unit)
    return taken, kept


def _raise_to_floor(placed: dict[SetName, list[Unit]], sizes: Mapping[SetName, int]) -> None:
    """Large groups can starve a set: move the smallest units from sets that can spare them."""

    def rows(name: SetName) -> int:
        return sum(map(len, placed[name]))

    for name, size in sizes.items():
        while rows(name) < min(size, FLOOR):
            spare: list[tuple[Unit, SetName]] = [
                (unit, donor)
                for donor in sizes
                if donor != name
                for unit in placed[donor]
                if rows(donor) - len(unit) >= FLOOR
            ]
            if not spare:
                break
            moved, donor = min(spare, key=lambda each: (len(each[0]), each[0].rank))
            placed[donor].remove(moved)
            placed[name].append(moved)
