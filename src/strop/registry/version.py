"""What the registry hands out: a version, an entry of its history; and what names and labels look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from strop.errors import BadInput
from strop.programs import ProgramSpec

Which = int | str | None
"""A version of a name: its number, its label, "latest", "active", or None for the active one."""

Kind = Literal["activated", "rolled_back"]

_LABEL = re.compile(r"v?\d+(\.\d+){1,2}([-+][0-9A-Za-z.+-]+)?")


@dataclass(frozen=True, kw_only=True)
class Version:
    """One kept program, without its state (`Registry.program` and `Registry.state` fetch that).

    `number` counts 1, 2, 3... under `name` and is never used again; `label` is a second unique name like `2.0.0`.
    `lineage` says where it came from: parent (a number, of `parent_name` when that is another name), data_fingerprint,
    run_id, models, prices_date, algorithm, seed, package_versions, each when known. `deleted` versions are seen only
    as ancestors.
    """

    id: str
    name: str
    number: int
    label: str
    fingerprint: str
    spec: ProgramSpec
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    lineage: Mapping[str, Any]
    notes: str
    origin: str
    active: bool
    created_at: datetime
    deleted: bool = False

    @property
    def parent(self) -> tuple[str, int] | None:
        """Name and number of the version that this one was made from."""
        number = self.lineage.get("parent")
        return None if number is None else (str(self.lineage.get("parent_name") or self.name), int(number))


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One entry of a name's history: `number` became active after `previous`."""

    name: str
    number: int
    previous: int | None
    kind: Kind
    at: datetime
    by: str
    reason: str


def check_name(name: str) -> None:
    """A name is also shown in terminals and used for file names, so it must be harmless in both.

    Raises:
        BadInput: it is empty, too long, hidden, a path, or has unprintable characters.
    """
    if not 1 <= len(name) <= 120 or not name.isprintable() or name != name.strip():
        raise BadInput(f"{name!r} cannot name a program: 1 to 120 printable characters, no space at the ends")
    if name.startswith((".", "-")) or "/" in name or "\\" in name:
        raise BadInput(f"{name!r} cannot name a program: it must not begin with '.' or '-' nor contain a slash")


def check_label(label: str) -> None:
    """
    Raises:
        BadInput: it does not look like 1.2.0 or 1.2.0-rc1.
    """
    if len(label) > 60 or not _LABEL.fullmatch(label):
        raise BadInput(f"{label!r} cannot label a version", hint="write it like 1.2.0 or 1.2.0-rc1")
