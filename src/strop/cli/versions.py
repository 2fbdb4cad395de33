"""`strop versions`: what is kept under a name, which one is active, the way back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strop.cli.options import Database, Directory, Json, Name, noun

if TYPE_CHECKING:
    from strop.registry import Version

app = noun("Versions of programs. The bare noun lists.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="VERSION", help="Number, label, `latest` or `active`.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only versions of this name.")] = None,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """List versions; the active one is marked."""
    from strop.cli.console import emit, table
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        found = house.registry.versions(name)
    if as_json:
        emit([version_data(version) for version in found])
        return
    rows = [
        (
            v.name,
            v.number,
            "active" if v.active else "",
            _share(v, "dev"),
            _share(v, "test"),
            v.lineage.get("origin", ""),
        )
        for v in found
    ]
    table(("Name", "Version", "", "Dev", "Test", "Origin"), rows, right=("Version", "Dev", "Test"))


@app.command("show")
def show_(
    name: Name,
    version: Which = "active",
    *,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show a version: its prompt, its figures, where it came from."""
    from strop.cli.console import emit, show
    from strop.cli.house import house_at
    from strop.programs import prompt_text

    with house_at(directory, database) as house:
        found = house.registry.get(name, which(version))
        prompt = prompt_text(house.registry.program(found))
        ancestors = [one.number for one in house.registry.lineage(name, found.number)]
    if as_json:
        emit(version_data(found) | {"prompt": prompt, "ancestors": ancestors})
        return
    show(f"{found.name} version {found.number} ({found.label}){', active' if found.active else ''}")
    for title, values in (("figures", found.metrics), ("lineage", found.lineage)):
        show(f"{title}:")
        for key, value in values.items():
            show(f"  {key}: {value}")
    show("prompt:")
    show("\n".join(f"  {line}" for line in prompt.splitlines()))


@app.command()
def diff(
    name: Name,
    before: Which,
    after: Annotated[str, typer.Argument(metavar="VERSION", help="The other one; default: the active.")] = "active",
    *,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show what changed from one version to another."""
    from strop.cli.console import emit, show
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        found = house.registry.diff(name, which(before), which(after))
    if as_json:
        prompts = [asdict(change) for change in found.prompts]
        emit({"before": found.before.number, "after": found.after.number, "text": found.text, "prompts": prompts,
              "spec": dict(found.spec), "metrics": dict(found.metrics)})  # fmt: skip
        return
    show(found.text or "The prompts are the same.")
    for key, (old, new) in {**found.spec, **found.metrics}.items():
        show(f"{key}: {old} -> {new}")


@app.command()
def activate(
    name: Name,
    version: Which,
    *,
    reason: Reason = "",
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a version the active one."""
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        _changed(house.registry.activate(name, which(version), reason=reason), "is active", as_json=as_json)


@app.command()
def rollback(
    name: Name,
    *,
    steps: Annotated[int, typer.Option(help="How many activations to go back.")] = 1,
    reason: Reason = "",
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Go back to the version that was active before."""
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        _changed(house.registry.rollback(name, steps, reason=reason), "is active again", as_json=as_json)


@app.command()
def export(
    name: Name,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file ending in .json, or a new directory.")],
    *,
    version: Annotated[str, typer.Option("--version", help="Number, label, `latest` or `active`.")] = "active",
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write a version to a file, with its hashes."""
    from strop.cli.console import emit, show, tell
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        written = house.registry.export(name, which(version), path)
    if written.notice:
        tell(f"note: {written.notice}")
    emit({"path": str(written.path), "notice": written.notice}) if as_json else show(f"wrote {written.path}")


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="What `export` wrote.")],
    *,
    name: Annotated[str | None, typer.Option(help="Register it under this name instead of its own.")] = None,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Allow it to name code that is imported.")] = False,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Register a version from a file.

    Nothing in the file is executed, and the version is not activated.
    """
    from strop.app import House
    from strop.cli.house import place_of

    with House(place_of(directory, database)) as house:
        own = name or house.registry.load_file(path, trust_code=trust_code).name
        _changed(house.registry.import_file(path, own, trust_code=trust_code), "was imported", as_json=as_json)


@app.command()
def delete(
    name: Name, version: Which, *, directory: Directory = Path(), database: Database = None, as_json: Json = False
) -> None:
    """Erase a version that is not active.

    Its number is never used again.
    """
    from strop.cli.console import emit, show
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        gone = house.registry.get(name, which(version))
        house.registry.delete(name, gone.number)
    told = f"{name} version {gone.number} was deleted."
    emit({"name": name, "number": gone.number, "deleted": True}) if as_json else show(told)


def which(text: str) -> int | str:
    """A version's number, or a word the registry knows."""
    return int(text) if text.isdecimal() else text


def version_data(version: Version) -> dict[str, Any]:
    """A version as JSON, without its state."""
    return {
        "name": version.name, "number": version.number, "label": version.label, "active": version.active,
        "fingerprint": version.fingerprint, "metrics": dict(version.metrics), "lineage": dict(version.lineage),
        "notes": version.notes, "origin": version.origin, "created_at": version.created_at.isoformat(),
        "spec": asdict(version.spec),
    }  # fmt: skip


def _changed(version: Version, what: str, *, as_json: bool) -> None:
    from strop.cli.console import emit, show

    emit(version_data(version)) if as_json else show(f"{version.name} version {version.number} {what}.")


def _share(version: Version, part: str) -> str:
    score = version.metrics.get(part)
    return "" if score is None else f"{score:.1%} of {version.metrics.get(f'{part}_n', '?')}"
