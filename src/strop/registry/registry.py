"""The registry: programs kept under a name as versions 1, 2, 3..., one of them active."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select, true, update

from strop import programs
from strop.errors import ArtifactRefused, BadInput, NotFound
from strop.gateway import Redactor
from strop.programs import ProgramSpec
from strop.registry import files
from strop.registry.difference import Difference, difference
from strop.registry.files import Exported, LoadedProgram
from strop.registry.history import History
from strop.registry.manifest import plain, redacted, seal, spec_from, spec_json, verify
from strop.registry.rows import SHOWN, check_parent, kept, new_label, new_number, one, same_program, switch, to_version
from strop.registry.saving import saved
from strop.registry.tables import versions as table
from strop.registry.version import Activation, Version, Which, check_label, check_name
from strop.store import Store

if TYPE_CHECKING:
    import dspy


class Registry:
    """Versions of programs in one database, for all threads of a process.

    A `connection` given to a verb is the caller's own exclusive write, which then commits or undoes this too.
    """

    def __init__(self, store: Store, *, redactor: Redactor | None = None) -> None:
        self._store = store
        self._redact = redactor or Redactor()

    def register(
        self,
        name: str,
        *,
        spec: ProgramSpec,
        program: dspy.Module | None = None,
        state: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        lineage: Mapping[str, Any] | None = None,
        label: str | None = None,
        notes: str = "",
        origin: str = "",
        connection: Connection | None = None,
    ) -> Version:
        """Keep a program (given itself, or as the `state` of one) as the next version of `name`.

        The same program is kept once: when `name` has it already, that version is returned as it is. The label is
        `<number>.0.0` unless given. Texts shaped like keys are taken out of metrics, lineage and notes.

        Raises:
            BadInput: a bad name or label, a label in use, an unknown parent, metrics that are no JSON.
            ProgramError, ArtifactRefused: the program cannot be built again from `spec` and its state.
        """
        check_name(name)
        if label is not None:
            check_label(label)
        dumped, fingerprint = saved(spec, program, state)
        parts: dict[str, Any] = {
            "spec": spec_json(spec),
            "state": dumped,
            "metrics": redacted(plain(metrics or {}, what="metrics"), self._redact),
            "lineage": redacted(plain(lineage or {}, what="lineage"), self._redact),
            "notes": self._text(notes),
        }
        with self._writing(connection) as writing:
            same = same_program(writing, name, fingerprint)
            if same is not None:
                return same
            check_parent(writing, name, parts["lineage"])
            number, created = new_number(writing, name), datetime.now(UTC)
            label = new_label(writing, name, number, label)
            known = {"name": name, "number": number, "label": label, "fingerprint": fingerprint}
            row = {**known, **parts, "manifest": seal(parts, known, created), "created_at": created}
            row |= {"id": uuid.uuid4().hex, "origin": self._text(origin)[:200], "active": False}
            writing.execute(insert(table).values(row))
            return one(writing, name, number)

    def get(self, name: str, which: Which = None) -> Version:
        """One version of `name`: by number, by label, "latest", or the active one (None, "active").

        Raises:
            NotFound: there is none.
        """
        with self._store.read() as connection:
            return one(connection, name, which)

    def by_id(self, version_id: str) -> Version:
        """
        Raises:
            NotFound: no version has this id.
        """
        with self._store.read() as connection:
            row = connection.execute(select(*SHOWN).where(table.c.id == version_id, kept())).first()
        if row is None:
            raise NotFound(f"no version has the id {version_id!r}")
        return to_version(row)

    def versions(self, name: str | None = None, *, active_only: bool = False) -> tuple[Version, ...]:
        """Versions by name and number; of all names unless one is given. Empty for an unknown name."""
        query = select(*SHOWN).where(kept()).order_by(table.c.name, table.c.number)
        if name is not None:
            query = query.where(table.c.name == name)
        if active_only:
            query = query.where(table.c.active == true())
        with self._store.read() as connection:
            return tuple(map(to_version, connection.execute(query)))

    def names(self) -> tuple[str, ...]:
        """Names that have a version, sorted."""
        with self._store.read() as connection:
            found = connection.execute(select(table.c.name).where(kept()).distinct()).scalars()
            return tuple(sorted(found))

    def activate(
        self, name: str, which: Which, reason: str = "", *, by: str = "", connection: Connection | None = None
    ) -> Version:
        """Make one version the active one of its name. Nothing is recorded when it is that already.

        Raises:
            NotFound: there is no such version.
        """
        with self._writing(connection) as writing:
            chosen = one(writing, name, which)
            if not chosen.active:
                History(writing, name).activated(chosen.number, reason=self._text(reason), by=self._text(by))
                switch(writing, name, chosen.number)
            return one(writing, name, chosen.number)

    def rollback(
        self, name: str, steps: int = 1, reason: str = "", *, by: str = "", connection: Connection | None = None
    ) -> Version:
        """Go back to the version that was active `steps` activations ago; deleted ones do not count.

        Going back again goes further back, not forth: after activating 1, 2, 3, two rollbacks end at 1.

        Raises:
            BadInput: fewer versions were active before, or `steps` is not positive.
            NotFound: no version of `name` is active.
        """
        if steps < 1:
            raise BadInput(f"cannot roll back {steps} steps: at least 1")
        with self._writing(connection) as writing:
            one(writing, name, None)
            numbers = writing.execute(select(table.c.number).where(table.c.name == name, kept())).scalars()
            number = History(writing, name).rolled_back(
                steps, kept=set(numbers), reason=self._text(reason), by=self._text(by)
            )
            switch(writing, name, number)
            return one(writing, name, number)

    def history(self, name: str) -> tuple[Activation, ...]:
        """Every activation and rollback of `name`, oldest first."""
        with self._store.read() as connection:
            return History(connection, name).entries()

    def delete(self, name: str, which: int | str) -> None:
        """Erase a version's program. Its number and label are never used again; descendants still name it.

        Raises:
            NotFound: there is no such version.
            BadInput: it is the active one.
        """
        with self._writing(None) as writing:
            chosen = one(writing, name, which)
            if chosen.active:
                raise BadInput(
                    f"version {chosen.number} of {name!r} is the active one and cannot be deleted",
                    hint="activate another version first",
                )
            erased = update(table).where(table.c.id == chosen.id)
            writing.execute(erased.values(state=None, notes="", deleted_at=datetime.now(UTC)))

    def state(self, version: Version) -> dict[str, Any]:
        """The DSPy JSON state of a version, its hashes verified.

        Raises:
            ArtifactRefused: the row was altered.
            NotFound: the version was deleted.
        """
        return self._verified(version)["state"]

    def program(self, version: Version) -> dspy.Module:
        """A new program, equal to the one registered.

        Raises:
            ArtifactRefused: the row was altered.
            ProgramError: the user's code that its spec names cannot be imported.
            NotFound: the version was deleted.
        """
        parts = self._verified(version)
        return programs.restore(spec_from(parts["spec"], where=_where(version)), parts["state"])

    def diff(self, name: str, before: Which, after: Which) -> Difference:
        """What changed from one version to another."""
        first, second = self.get(name, before), self.get(name, after)
        return difference(first, self.program(first), second, self.program(second))

    def lineage(self, name: str, which: Which = None) -> tuple[Version, ...]:
        """The version's ancestors, its parent first, back to the first of the line; deleted ones included."""
        found: list[Version] = []
        with self._store.read() as connection:
            parent = one(connection, name, which).parent
            while parent is not None:
                query = select(*SHOWN).where(table.c.name == parent[0], table.c.number == parent[1])
                found.append(to_version(connection.execute(query).one()))
                parent = found[-1].parent
        return tuple(found)

    def export(self, name: str, which: Which, path: str | Path) -> Exported:
        """Write a version to one JSON file (`path` ends in .json or .pkl) or to a new directory, all or nothing.

        Raises:
            ArtifactRefused: the version was altered in the database.
            BadInput: the directory has something else in it.
            StoreUnwritable: it cannot be written.
        """
        version = self.get(name, which)
        parts = self._verified(version)
        return files.write(Path(path), manifest=version.manifest, parts=parts)

    def load_file(self, path: str | Path, *, trust_code: bool = False) -> LoadedProgram:
        """Read what `export` wrote, here or elsewhere, without executing anything unless `trust_code`.

        Raises:
            NotFound: there is no such file.
            ArtifactRefused: altered, foreign, pickled, too big, of another format version, or it would run code.
        """
        return files.read(Path(path), trust_code=trust_code)

    def import_file(
        self, path: str | Path, name: str, *, label: str | None = None, notes: str = "", trust_code: bool = False
    ) -> Version:
        """Load a file and register its program. Its metrics and lineage are kept under `lineage["imported"]`, since
        they were not measured here. Raises what `load_file` and `register` raise.
        """
        loaded = self.load_file(path, trust_code=trust_code)
        imported = {
            "name": loaded.name, "number": loaded.number, "label": loaded.label, "metrics": loaded.metrics,
            "lineage": loaded.lineage, "manifest": loaded.manifest,
        }  # fmt: skip
        return self.register(
            name,
            spec=loaded.spec,
            state=loaded.state,
            lineage={"imported": imported},
            label=label,
            notes=notes or loaded.notes,
            origin=f"file:{Path(path).name}",
        )

    def _verified(self, version: Version) -> dict[str, Any]:
        with self._store.read() as connection:
            row = connection.execute(select(table).where(table.c.id == version.id)).mappings().first()
        if row is None or row["deleted_at"] is not None:
            raise NotFound(f"{_where(version)} was deleted")
        parts = {key: row[key] for key in ("spec", "state", "metrics", "lineage", "notes")}
        manifest = verify(row["manifest"], parts, where=_where(version))
        for column in ("name", "number", "label", "fingerprint"):
            if manifest.get(column) != row[column]:
                raise ArtifactRefused(f"{_where(version)} was altered: its {column} is not the recorded one")
        return parts

    def _text(self, text: str) -> str:
        """`text` without secrets and without what a database cannot hold."""
        return self._redact(text.replace("\0", "").encode(errors="replace").decode())

    @contextmanager
    def _writing(self, connection: Connection | None) -> Generator[Connection]:
        if connection is not None:
            yield connection
            return
        with self._store.write() as own:
            yield own


def _where(version: Version) -> str:
    return f"version {version.number} of {version.name!r}"
