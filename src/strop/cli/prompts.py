"""A winning prompt on the command line: exported, measured as plain text, installed, taken away."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.cli.console import emit, show, tell, typed
from strop.cli.versions import which
from strop.errors import BadInput

if TYPE_CHECKING:
    from strop.agents import Choice, ConfigFile, Installation, Place, Winner
    from strop.app import House

MODES = ("replace", "append")


def export_prompt(
    file: ConfigFile, house: House, *, target: str | None, version: str, form: Mapping[str, Any],
    output: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Write the document and its side file, or print the document."""
    from strop.agents import provenance_of, winner
    from strop.exporters import export, write

    one = winner(file, house, target=target, which=which(version))
    _note(one)
    exported = export(one.prompt, form.get("format", "opencode"), form.get("mode"))
    if output == Path("-"):
        sys.stdout.write(exported.content)
        return
    folder = output or file.resolve(file.config.outputs.prompts_dir)
    document, side = write(exported, folder, provenance_of(one.version))
    if as_json:
        emit({"agent": exported.agent, "format": exported.format, "path": str(document), "provenance": str(side),
              "sha256": exported.sha256})  # fmt: skip
        return
    show(f"wrote {document}")
    show(f"wrote {side}")


def checked_choice(format: str | None, mode: str | None) -> dict[str, Any]:
    """Format and mode as they were typed, those that were.

    Raises:
        BadInput: there is no such format or mode.
    """
    from strop.exporters import FORMATS

    for what, value, known in (("format", format, FORMATS), ("mode", mode, MODES)):
        if value is not None and value not in known:
            raise BadInput(f"{what} {value!r} is unknown", hint=f"known: {', '.join(known)}")
    return {key: value for key, value in (("format", format), ("mode", mode)) if value is not None}


def install_prompt(
    file: ConfigFile, house: House, choice: Choice, *, at: tuple[str, Path | None], which: tuple[str | None, str],
    tolerance: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Check that the text is worth as much as the program, then install it."""
    from strop.agents import install, parity_of, provenance_of, winner
    from strop.cli.versions import which as version_of

    target, version = which
    one = winner(file, house, target=target, which=version_of(version))
    _note(one)
    place = place_for(*at)
    parity = None
    if tolerance is not None:
        tell("measuring the exported text on the dev examples ...")
        parity = parity_of(file, house, one, tolerance=tolerance)
        tell(parity.told())
    done = install(
        one.prompt, place, choice, provenance=provenance_of(one.version), parity=parity, environment=os.environ
    )
    show_installation(done, "installed", as_json=as_json, project=at[1])


def place_for(client: str, project: Path | None) -> Place:
    """Where a client of this user, or of a project, keeps its files."""
    from strop.agents import place_of

    return place_of(client, environment=os.environ, home=Path.home(), project=project)


def show_installation(done: Installation, verb: str, *, as_json: bool, project: Path | None = None) -> None:
    """Which files changed, who found them good; with a dry run the changes themselves."""
    if as_json:
        files = [{"path": str(one.path), "existed": one.before is not None, "exists": one.after is not None}
                 for one in done.changes]  # fmt: skip
        emit({"client": done.client, "agents": list(done.agents), "files": files, "checks": list(done.checks),
              "notices": list(done.notices), "dry_run": done.dry_run})  # fmt: skip
        return
    for change in done.changes:
        if done.dry_run:
            show(change.diff())
        else:
            show(f"{'removed' if change.after is None else 'wrote'} {change.path}")
    for check in done.checks:
        show(f"checked: {check}")
    for notice in done.notices:
        tell(f"note: {notice}")
    word = f"would be {verb}" if done.dry_run else verb
    show(f"{', '.join(done.agents) or 'nothing'}: {word} for {done.client}")
    if verb == "installed" and not done.dry_run:
        near = "" if project is None else f" --project {project}"
        show(f"Undo: {typed(f'agents uninstall {done.agents[0]} --client {done.client}{near}')}")


def _note(one: Winner) -> None:
    from strop.agents import baseline_only

    if baseline_only(one):
        tell("note: this is the prompt as it was before training; nothing better was proven (--version latest is the "
             "best that was found)")  # fmt: skip
