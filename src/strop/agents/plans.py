"""What every file becomes when an agent comes or goes, worked out before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strop.agents.journal import Journal, Keeper, Tracked, digest
from strop.agents.parts import Part, applied, check_readable, defined, without
from strop.agents.places import Place
from strop.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Files as they shall be, in the order of writing, the journal then, and what the journal must find again."""

    contents: Mapping[str, bytes | None]
    journal: Journal
    keep: tuple[bytes, ...] = ()
    notices: tuple[str, ...] = ()


def plan_install(keeper: Keeper, parts: Sequence[tuple[Path, Part]], *, backup: bool) -> Plan:
    """Put `parts`, all of one agent, in the place of whatever that agent has there now.

    Raises:
        BadInput: a file of somebody else's is in the way, or cannot be read.
    """
    journal = keeper.journal()
    owner = parts[0][1].owner
    paths = {path.relative_to(keeper.place.root).as_posix(): path for path, _ in parts}
    mine = {path: [part for at, part in parts if at == paths[path]] for path in paths}
    for tracked in journal.files:
        if any(part.owner == owner for part in tracked.parts):
            mine.setdefault(tracked.path, [])
    contents: dict[str, bytes | None] = {}
    files = {one.path: one for one in journal.files}
    keep: list[bytes] = []
    for path, new in mine.items():
        base, others = _base(keeper, path, files.get(path), new, backup=backup)
        kept = [part for part in others if part.owner != owner]
        where = str(keeper.place.root / path)
        check_readable([*kept, *new], base, file=where)
        contents[path] = applied(base, [*kept, *new], file=where)
        files.pop(path, None)
        if kept or new:
            files[path] = Tracked(path=path, base=digest(base), installed=digest(contents[path]), parts=(*kept, *new))
            keep += [] if base is None else [base]
    return Plan(
        contents=contents, journal=journal.model_copy(update={"files": tuple(files.values())}), keep=tuple(keep)
    )


def _base(
    keeper: Keeper, path: str, tracked: Tracked | None, new: Sequence[Part], *, backup: bool
) -> tuple[bytes | None, tuple[Part, ...]]:
    """The file as it is without us, and our parts in it."""
    current, where = keeper.read(path), str(keeper.place.root / path)
    whole = any(part.kind == "file" for part in new)
    if tracked is None:
        in_the_way = whole and current is not None and current != applied(None, new, file=where)
        if not backup and (in_the_way or any(defined(part, current, file=where) for part in new)):
            raise BadInput(
                f"{where} has an agent of that name already, which was not installed by Strop"
                if not whole
                else f"{where} is there already and was not installed by Strop",
                hint="--backup puts it aside; it comes back on uninstall",
            )
        return current, ()
    base = keeper.kept(tracked.base)
    if digest(current) == tracked.installed:
        return base, tracked.parts
    if any(part.kind == "file" for part in tracked.parts):
        if current is not None and not backup:
            raise BadInput(
                f"{where} was changed by somebody since it was installed",
                hint="--backup replaces it, and brings the changed file back on uninstall",
            )
        return current, tracked.parts
    return without(current, tracked.parts, base, file=where), tracked.parts


def plan_uninstall(keeper: Keeper, journal: Journal, place: Place, gone: Sequence[str], *, force: bool) -> Plan:
    """Take the agents `gone` out of every file.

    Raises:
        BadInput: a file was changed by somebody, and `force` does not say to leave the rest of it.
    """
    owners = {(place.client, name) for name in gone}
    contents: dict[str, bytes | None] = {}
    files: list[Tracked] = []
    keep: list[bytes] = []
    notices: list[str] = []
    for tracked in journal.files:
        left = tuple(part for part in tracked.parts if part.owner not in owners)
        base = keeper.kept(tracked.base)
        if left == tracked.parts:
            files.append(tracked)
            keep += [] if base is None else [base]
            continue
        current, where = keeper.read(tracked.path), str(keeper.place.root / tracked.path)
        if digest(current) != tracked.installed:
            if not force:
                raise BadInput(
                    f"{where} was changed by somebody since it was installed, so it cannot be brought back",
                    hint="--force takes only our own parts out of it and keeps the rest",
                )
            if current is not None and any(part.kind == "file" for part in tracked.parts):
                contents[f"{tracked.path}.changed"] = current
                notices.append(f"{where} had been changed: what it was is kept as {where}.changed")
            else:
                notices.append(f"{where} had been changed: only our own parts were taken out")
            base = without(current, tracked.parts, base, file=where)
        content = applied(base, left, file=where)
        contents = {tracked.path: content, **contents}  # settings that name an agent go before the agent
        if left:
            files.append(tracked.model_copy(update={"base": digest(base), "installed": digest(content), "parts": left}))
            keep += [] if base is None else [base]
    after = journal.model_copy(update={"files": tuple(files)})
    return Plan(contents=contents, journal=after, keep=tuple(keep), notices=tuple(notices))
