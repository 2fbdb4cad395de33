"""Write the migration that brings the schema from the newest revision to what the rooms' tables say.

    python scripts/make_migration.py "add the experiments"   a new revision
    python scripts/make_migration.py --initial                the first one again (before the first release only)
    python scripts/make_migration.py --check                  exit 1 when a migration is missing

The result is explicit DDL for both dialects; read it before committing it. Data migrations are written by hand.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import MigrationScript

import strop
from strop.store import JsonText, UtcDateTime, metadata
from strop.store.schema import MIGRATIONS, VERSION_TABLE, migrate, revisions

VERSIONS = MIGRATIONS / "versions"
INITIAL = "0001_initial"


def import_tables() -> list[str]:
    """Import every room's `tables` module, so that the metadata is whole; their names."""
    house = Path(strop.__file__).parent
    names = [f"strop.{path.parent.name}.tables" for path in sorted(house.glob("*/tables.py"))]
    for name in names:
        importlib.import_module(name)
    return names


def leave_doors_closed() -> None:
    """Let `strop.room.tables` be imported without the room's `__init__`, which is slow and may be half written."""
    for path in Path(strop.__file__).parent.glob("*/tables.py"):
        room = f"strop.{path.parent.name}"
        if room not in sys.modules:
            sys.modules[room] = ModuleType(room)
            sys.modules[room].__path__ = [str(path.parent)]


def differences(*, migrated: bool) -> MigrationScript:
    """What is missing in a database at the newest revision, or in an empty one."""
    with sa.create_engine("sqlite://").connect() as connection:
        if migrated:
            migrate(connection)
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return produce_migrations(context, metadata)


def _render_item(kind: str, item: object, _context: AutogenContext) -> str | bool:
    """A migration outlives our column types: it says what they are made of."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, JsonText):
        return "sa.Text()"
    return False


def render(script: MigrationScript, title: str, revision: str, down_revision: str | None) -> str:
    assert script.upgrade_ops is not None
    code = render_python_code(script.upgrade_ops, render_as_batch=down_revision is not None, render_item=_render_item)
    body = "\n".join(line for line in code.splitlines() if not line.strip().startswith("#"))
    previous = "None" if down_revision is None else f'"{down_revision}"'
    text = (
        f'"""{title}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{revision}"\n'
        f"down_revision = {previous}\n\n\ndef upgrade() -> None:\n    {body.strip()}\n"
    )
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", f"{revision}.py", "-"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return formatted.stdout


def write(path: Path, text: str) -> None:
    """In one step: somebody else may be opening a database just now."""
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)
    print(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the migration from the newest revision to the rooms' tables.")
    parser.add_argument("title", nargs="?", help="what changes, in a few words")
    parser.add_argument("--initial", action="store_true", help="write the first revision again")
    parser.add_argument("--check", action="store_true", help="only tell whether a migration is missing")
    asked = parser.parse_args()
    leave_doors_closed()
    import_tables()
    known = revisions()
    if asked.initial:
        if len(known) > 1:
            parser.error(f"{known[0]} is history since {known[1]} was written")
        write(VERSIONS / f"{INITIAL}.py", render(differences(migrated=False), "The first schema", INITIAL, None))
        return 0
    script = differences(migrated=True)
    if script.upgrade_ops is None or script.upgrade_ops.is_empty():
        print(f"nothing to do: {known[-1]} has all {len(metadata.tables)} tables")
        return 0
    if asked.check or not asked.title:
        print(render(script, "Missing", "missing", known[-1]))
        print('a migration is missing: python scripts/make_migration.py "what changes"', file=sys.stderr)
        return 1
    words = re.sub(r"[^a-z0-9]+", "_", asked.title.lower()).strip("_")
    # Alembic keeps the name in 32 characters.
    revision = f"{len(known) + 1:04d}_{words}"[:32].rstrip("_")
    write(VERSIONS / f"{revision}.py", render(script, asked.title, revision, known[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
