"""Writes the reference pages in docs/ from the code itself, so that they cannot lie; `--check` only compares.

python scripts/make_docs.py [--check]
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

os.environ.update(COLUMNS="100", TERM="dumb", NO_COLOR="1")

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from strop import errors
from strop.agents import AgentConfig
from strop.cli.help import EXIT_CODES, LISTS, NOUNS, help_text
from strop.optimizers import find, names
from strop.runs import TaskSpec

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOTE = "<!-- Made by scripts/make_docs.py from the code; changes here are lost. -->\n"
EVENTS = {
    "run.started": "A run begins, or goes on. `lost` counts calls that were in flight when an earlier process died.",
    "stage.started": "`stage` is `baseline`, `search` or `test`.",
    "stage.finished": "The stage is over: its score, its candidates, or the verdict.",
    "evaluation.progress": "After each example of a measurement: `done` of `wanted`, the `mean` score so far.",
    "search.note": "What an algorithm says of itself: `kind` is `phase`, `score`, `iteration` or `warmed`.",
    "candidate.found": "The search found a program; `score` (0..1) on `n` dev examples, null if unscored.",
    "candidate.chosen": "What goes to the sealed test; 0 is the baseline. Also `baseline`, `optimized` (dev), `n`.",
    "run.finished": "`status` and, where the sealed test was opened, the `verdict`.",
}


def cli_page() -> str:
    """Every command's own help."""
    parts = [NOTE, "# Commands\n", _text(help_text())]
    for noun in NOUNS:
        app = import_module(f"strop.cli.{noun}").app
        parts += [f"## strop {noun}\n", _text(_help(app, noun))]
        if noun in LISTS:
            for command in app.registered_commands:
                verb = str(command.name or command.callback.__name__)
                parts += [f"### strop {noun} {verb}\n", _text(_help(app, noun, verb))]
    return "\n".join(parts)


def _help(app: typer.Typer, noun: str, *verb: str) -> str:
    shown = CliRunner().invoke(app, [*verb, "--help"], prog_name=f"strop {noun}")
    if shown.exit_code:
        raise SystemExit(f"strop {noun} --help failed: {shown.output}")
    return shown.output


def settings_page() -> str:
    """The keys of strop.yaml and the settings of every algorithm."""
    parts = [NOTE, "# Settings\n", "## strop.yaml\n", "A JSON Schema for editors: `strop schema`.\n"]
    parts += _tables(TaskSpec)
    parts += ["## config.yaml\n", "What `strop agents` reads; see [agents](agents.md).\n", *_tables(AgentConfig)]
    parts.append("## Algorithms\n")
    parts.append("Settings stand beside the name: `algorithm: {name: miprov2, num_candidates: 10}`.\n")
    for name in names():
        one = find(name)
        parts += [f"### {name}\n", f"{one.title}\n", _about(one.settings), _rows(one.settings)]
        other = dict(getattr(one.settings, "other_names", {}))
        if other:
            told = ", ".join(f"`{theirs}` is `{ours}`" for theirs, ours in other.items())
            parts.append(f"Other names that are understood: {told}.\n")
    return "\n".join(part for part in parts if part)


def _tables(root: type[BaseModel]) -> list[str]:
    places: dict[type[BaseModel], list[str]] = {}
    for place, model in _sections(root, ""):
        places.setdefault(model, []).append(place)
    return [_model_table(model, where) for model, where in places.items()]


def _sections(model: type[BaseModel], place: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield place, model
    for name, field in model.model_fields.items():
        for below in _models_in(field.annotation):
            yield from _sections(below, f"{place}.{name}" if place else name)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    kinds = (annotation, *get_args(annotation))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _model_table(model: type[BaseModel], places: list[str]) -> str:
    title = "### " + ", ".join(f"`{place}`" for place in places) + "\n" if any(places) else ""
    return "\n".join(part for part in (title, _about(model), _rows(model)) if part)


def _about(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split()) + "\n"


def _rows(model: type[BaseModel]) -> str:
    lines = ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        meaning = " ".join((field.description or "").split())
        cells = (f"`{name}`", _type(field), _default(field), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type(field: FieldInfo) -> str:
    models = _models_in(field.annotation)
    if models:
        return "mapping" + (", or its short form" if hasattr(models[0], "short") else "")
    return _type_text(field.annotation)


def _type_text(kind: Any) -> str:
    """A type as a reader of YAML knows it: `float`, `text`, `list of text`, `a or b`."""
    words = {str: "text", int: "integer", float: "number", bool: "true/false", type(None): "null"}
    origin, inside = get_origin(kind), get_args(kind)
    if kind in words:
        return words[kind]
    if origin is Annotated:
        return _type_text(inside[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(_type_text(one) for one in inside)
    if origin is tuple:
        return f"list of {_type_text(inside[0])}"
    return "mapping" if origin is dict else "any"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        given = value.model_dump(exclude_defaults=True) or getattr(value, "name", None) or ""
        return f"`{given}`" if given else ""
    if value == ():
        return "`[]`"
    return "`null`" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def errors_page() -> str:
    """The tree of errors, exit codes and HTTP statuses."""
    tree = (errors.__doc__ or "").split("\n\n", 1)[1]
    parts = [NOTE, "# Errors\n", _text(tree), "## Exit codes\n", "| Code | Meaning |", "| --- | --- |"]
    parts += [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    parts += ["\n## Classes\n", "| Error | Exit | HTTP | What it means |", "| --- | --- | --- | --- |"]
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.StropError):
            meaning = " ".join((kind.__doc__ or "").split("\n\n")[0].split()).replace("|", "\\|")
            parts.append(f"| `{kind.__name__}` | {kind.exit_code} | {kind.http_status} | {meaning} |")
    return "\n".join(parts) + "\n"


def events_page() -> str:
    """Every event that a run tells, with its data, read from the runner's source."""
    parts = [
        NOTE, "# Events\n", "What a listener hears: `strop.optimize(..., listen=print)` or `house.bus.listen(...)`. "
        "`scope` is `run:ID`.\n", "| Event | Data | Meaning |", "| --- | --- | --- |",
    ]  # fmt: skip
    told = _events()
    if set(told) != set(EVENTS):
        raise SystemExit(f"describe these events in make_docs.py: {sorted(set(told) ^ set(EVENTS))}")
    parts += [f"| `{name}` | {', '.join(f'`{key}`' for key in told[name])} | {text} |" for name, text in EVENTS.items()]
    return "\n".join(parts) + "\n"


def _events() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "src/strop/runs").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "tell":
                continue
            name = getattr(node.args[0], "value", None)
            if not isinstance(name, str):
                continue
            keys = [keyword.arg for keyword in node.keywords if keyword.arg]
            found[name] = [*found.get(name, []), *(key for key in keys if key not in found.get(name, []))]
    return found


def _text(text: str) -> str:
    return "```text\n" + "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n```\n"


PAGES = {
    "reference-cli.md": cli_page,
    "reference-settings.md": settings_page,
    "reference-errors.md": errors_page,
    "reference-events.md": events_page,
}


def main() -> int:
    """Write the pages, or say which of them are stale."""
    stale: list[str] = []
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        path, text = DOCS / name, page().rstrip("\n") + "\n"
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, "utf-8")
    if "--check" in sys.argv and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python scripts/make_docs.py\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
