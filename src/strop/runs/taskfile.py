"""Reads strop.yaml so that every mistake in it is told at once, each with its line and the nearest right name."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from strop.errors import MetricError, SettingsError, TaskFileError
from strop.optimizers import settings_of
from strop.runs.task import TaskSpec
from strop.runs.yaml_tree import Place, YamlTree

FILE_NAME = "strop.yaml"
MAX_BYTES = 1_000_000

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """A task as it was written: `path` is absolute, `lines` has the 1-based line of each key and list item."""

    spec: TaskSpec
    path: Path
    lines: Mapping[Place, int]

    @property
    def directory(self) -> Path:
        """Where the file lies; relative paths in it start here."""
        return self.path.parent

    @contextmanager
    def named_in(self, spec: TaskSpec) -> Generator[None]:
        """Errors about the metric or the algorithm of `spec` name their line where they are as this file says them."""
        try:
            yield
        except (MetricError, SettingsError) as error:
            key = "metric" if isinstance(error, MetricError) else "algorithm" if _no_such_search(spec) else None
            line = None if key is None else self.line(key, "name")
            if error.file or key is None or line is None or getattr(spec, key) != getattr(self.spec, key):
                raise
            raise type(error)(error.message, hint=error.hint, file=str(self.path), line=line) from None

    def resolve(self, name: str) -> Path:
        """A path that the file names, made absolute."""
        return self.directory / Path(name).expanduser()

    def line(self, *place: str | int) -> int | None:
        """Line of a key, or of the nearest key around it; None when the file does not mention it at all."""
        return next((self.lines[at] for at in _outward(place) if at and at in self.lines), None)


def load_task(path: str | Path = ".") -> TaskFile:
    """Read and check a task file, or the `strop.yaml` of a directory. Raises TaskFileError."""
    given = Path(path)
    file = given / FILE_NAME if given.is_dir() else given
    spec, lines = read_settings(file, TaskSpec, schema="strop.schema.json, which editors read too")
    return TaskFile(spec=spec, path=file.resolve(), lines=lines)


def read_settings(
    file: Path, kind: type[S], *, schema: str, meant: Mapping[str, str] | None = None
) -> tuple[S, Mapping[Place, int]]:
    """A YAML file as settings of `kind`, and the line of each key.

    `schema` says where every key is described, `meant` names the key behind names that people also use.

    Raises:
        TaskFileError: every mistake in it, each with its line and the nearest right name.
    """
    text = _read(file)
    _refuse_secrets(text, file)
    tree = YamlTree(str(file))
    content = tree.read(text)
    if not isinstance(content, dict):
        known = list(kind.model_fields)
        keys = "`task:` and `data:`" if kind is TaskSpec else f"`{known[0]}:`"
        raise TaskFileError(f"must be a mapping of keys such as {keys}", file=str(file), line=1)
    try:
        return kind.model_validate(content), tree.lines
    except ValidationError as error:
        raise _Refusal(kind, tree, _OFTEN_MEANT if meant is None else meant).of(error, schema) from None


def _no_such_search(spec: TaskSpec) -> bool:
    """Whether its algorithm, or a setting of it, is unknown; what `auto` chooses is known with the data only."""
    try:
        if spec.algorithm.name.lower() != "auto":
            settings_of(spec.algorithm.name, spec.algorithm.settings)
    except SettingsError:
        return True
    return False


def _read(file: Path) -> str:
    try:
        raw = file.read_bytes() if file.stat().st_size <= MAX_BYTES else None
    except FileNotFoundError:
        raise TaskFileError(
            f"there is no task file {str(file)!r}", hint="`strop init` writes one, with data to try it on"
        ) from None
    except OSError as error:
        raise TaskFileError(f"cannot be read: {error.strerror}", file=str(file)) from None
    if raw is None:
        raise TaskFileError(f"is larger than {MAX_BYTES:,} bytes; data belongs in files of its own", file=str(file))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TaskFileError("is not UTF-8 text", file=str(file), line=line) from None
    if not text.strip():
        raise TaskFileError("is empty", file=str(file), hint="`strop init` in another directory shows a whole one")
    return text


_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{16,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|gsk_[A-Za-z0-9]{20,}"
    r"|xai-[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:\bbearer\s+[A-Za-z0-9._-]{16,})"
)
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]+:[^/\s@]+@")


def _refuse_secrets(text: str, file: Path) -> None:
    """Comments count too: the file is shared and versioned. The message never repeats the value."""
    for line, words in enumerate(text.splitlines(), start=1):
        if _SECRET.search(words):
            raise TaskFileError(
                "this looks like an API key; keys do not belong in the task file",
                file=str(file),
                line=line,
                hint="put it in the environment or in `.env`, and name a variable of your own with `api_key_env`",
            )
        if _PASSWORD_IN_URL.search(words):
            raise TaskFileError(
                "this address has a password in it; passwords do not belong in the task file",
                file=str(file),
                line=line,
                hint="give a database's address as STROP_DATABASE_URL, in the environment or in `.env`",
            )


@dataclass(frozen=True, kw_only=True)
class _Problem:
    line: int
    message: str = field(compare=False)
    place: Place


_OFTEN_MEANT = {
    "budget": "budget_usd", "name": "task", "model": "models", "optimizer": "algorithm", "optimiser": "algorithm",
    "timeout": "timeout_s", "timeout_seconds": "timeout_s", "threads": "concurrency", "num_threads": "concurrency",
    "workers": "concurrency", "dataset": "data", "examples": "data", "prompt": "instructions", "columns": "fields",
    "mapping": "fields", "rpm": "requests_per_minute", "tpm": "tokens_per_minute", "base_url": "api_base",
    "valid": "dev", "val": "dev", "validation": "dev", "p95_latency_ms": "max_latency_ms", "db": "database",
    "max_cost_usd": "max_cost_usd_per_request", "tool": "tools",
}  # fmt: skip
_WORDING = (
    ("Input should be a valid", "must be a"),
    ("Input should", "should"),
    ("a integer", "an integer"),
    ("a tuple", "a list"),
    ("a boolean", "true or false"),
)
_WRONG_KEY = "[key]"
"""What pydantic writes at the end of a place whose key, not whose value, is wrong."""
_KEYS_LIKE_SECRETS = {"api_key", "apikey", "key", "token", "secret", "password"}


@dataclass(frozen=True)
class _Refusal:
    """Turns what pydantic found wrong with a file of settings of `root` into one error."""

    root: type[BaseModel]
    tree: YamlTree
    meant: Mapping[str, str]

    def of(self, error: ValidationError, schema: str) -> TaskFileError:
        """All problems in the order of the file, each on a line of its own that editors can follow."""
        found: dict[Place, _Problem] = {}
        for detail in error.errors(include_url=False):
            place = self._as_written(tuple(detail["loc"]))
            line = next((self.tree.lines[at] for at in _outward(place) if at in self.tree.lines), 1)
            found.setdefault(place, _Problem(line=line, message=self._told(detail, place), place=place))
        problems = sorted(found.values(), key=lambda problem: problem.line)
        rest = [f"{self.tree.file}:{problem.line}: {problem.message}" for problem in problems[1:]]
        return TaskFileError(
            "\n".join([problems[0].message, *rest]),
            file=self.tree.file,
            line=problems[0].line,
            hint=f"every key is described in {schema}",
        )

    def _as_written(self, place: Place) -> Place:
        """The place without positions that the file has not: what may be a list can be written as its only item."""
        written: Place = ()
        for key in place:
            if key == _WRONG_KEY:
                continue
            if not isinstance(key, int) or (*written, key) in self.tree.lines:
                written = (*written, key)
        return written

    def _told(self, detail: ErrorDetails, place: Place) -> str:
        """What is wrong, with which value, and what would be right."""
        name = ".".join(map(str, place))
        if detail["type"] == "extra_forbidden":
            return f"unknown key `{name}`{self._nearest_key(place)}"
        if detail["loc"][-1:] == (_WRONG_KEY,):
            close = get_close_matches(str(place[-1]), _choices(detail), n=1)
            meant = f"; did you mean `{close[0]}`?" if close else f"; known: {', '.join(_choices(detail))}"
            return f"unknown key `{name}`{meant}"
        if detail["type"] == "missing":
            return f"the key `{name}` is missing{self._about(place)}"
        what = str(detail.get("ctx", {}).get("error") or detail["msg"])
        for pydantic_says, we_say in _WORDING:
            what = what.replace(pydantic_says, we_say)
        if "dictionary" in what:
            what = "must be a mapping of " + ", ".join(_keys(self._model_at(place)) or ["keys to values"])
        elif detail["type"] == "string_pattern_mismatch":
            what = "is not of the right form"
        value = detail["input"]
        shown = "" if isinstance(value, dict | list) or place[-1:] == ("api_key_env",) else f" {_yaml_word(value)}"
        close = get_close_matches(str(value), _choices(detail), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else self._about(place)
        return f"`{name}`:{shown} {what}{hint}" if shown else f"`{name}`: {what}{hint}"

    def _nearest_key(self, place: Place) -> str:
        key, keys = str(place[-1]), _keys(self._model_at(place[:-1]))
        if key.lower() in _KEYS_LIKE_SECRETS:
            return ": keys stay in the environment or `.env`; name the variable with `api_key_env`"
        meant = self.meant.get(key.lower())
        close = [meant] if meant in keys else get_close_matches(key.lower(), keys, n=1, cutoff=0.6)
        if close:
            return f"; did you mean `{close[0]}`?"
        elsewhere = [".".join([*map(str, way), key]) for way, model in _sections(self.root, ()) if key in _keys(model)]
        if elsewhere:
            return f"; it belongs at `{elsewhere[0]}`"
        return f"; known here: {', '.join(keys)}"

    def _about(self, place: Place) -> str:
        """The first sentence of the field's documentation."""
        model = self._model_at(place[:-1])
        info = model.model_fields.get(str(place[-1])) if model and place else None
        text = " ".join((info.description or "").split()) if info else ""
        first = re.split(r"(?<=[.])\s", text, maxsplit=1)[0]
        return f" ({first.rstrip('.')})" if first else ""

    def _model_at(self, place: Place) -> type[BaseModel] | None:
        """The model whose keys are allowed at `place`; None where the content is free."""
        model: type[BaseModel] | None = self.root
        for key in place:
            if isinstance(key, int):
                continue
            info = model.model_fields.get(key) if model else None
            model = _model_in(info.annotation) if info else None
        return model


def _choices(detail: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']+)'", str(detail.get("ctx", {}).get("expected", "")))


def _yaml_word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:80]


def _outward(place: Place) -> Iterator[Place]:
    return (place[:end] for end in range(len(place), -1, -1))


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The first settings class inside a type: `Model`, `Model | None`, `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _sections(model: type[BaseModel], place: Place) -> Iterator[tuple[Place, type[BaseModel]]]:
    yield place, model
    for name, info in model.model_fields.items():
        below = _model_in(info.annotation)
        if below:
            yield from _sections(below, (*place, name))


def _keys(model: type[BaseModel] | None) -> list[str]:
    return list(model.model_fields) if model else []
