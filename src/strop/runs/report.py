"""Writes what a run found out beside the database: a JSON file, and an HTML page that needs no network."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from strop.errors import StoreUnwritable, StropError
from strop.runs import charts
from strop.runs import report_words as words
from strop.runs.journal import Journal, RunRecord
from strop.runs.prompt_diff import MOST_CHARACTERS, compare_prompts, shorten
from strop.runs.runner import RunResult

if TYPE_CHECKING:
    from jinja2 import Template

Data = Mapping[str, Any]

OPEN_EXAMPLES = 20
EXAMPLE_CHARACTERS = 100_000
"""Of all examples on a page together, so that it stays small whatever a program answers."""
MOST_CANDIDATES = 300
_SETTINGS_SHOWN = (
    "strategy",
    "algorithm",
    "constraints",
    "gate",
    "concurrency",
    "max_iterations",
    "timeout_s",
    "warm_ahead",
)


_LEDGER_COLUMNS = (
    ("Calls", "calls"), ("Bought", "paid_calls"), ("Replayed", "replayed_calls"), ("Shared", "shared_calls"),
    ("Failed", "failed_calls"), ("Lost", "lost_calls"), ("Tokens in", "tokens_in"), ("Tokens out", "tokens_out"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Examples that changed in the same direction: those in sight, and those that open on demand."""

    kind: str
    shown: Sequence[Data]
    rest: Sequence[Data]


def write_report(result: RunResult, directory: Path, journal: Journal) -> RunResult:
    """Write `<run>.html` and `<run>.json`, each whole or not at all; returns the result with the page's path.

    A result without data (the process lost its run) writes nothing. What the run found out is in the database already,
    so a page can be made again at any time.

    Raises:
        StoreUnwritable: the directory cannot be written.
    """
    if not result.data:
        return result
    page = directory / f"{result.run_id}.html"
    data = {**result.data, "report": str(page)}
    stages, candidates, record = _recorded(result.run_id, journal)
    html = render(data, stages, candidates, record)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _replace(page, html.encode("utf-8", "replace"))
        _replace(page.with_suffix(".json"), orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise StoreUnwritable(
            f"the report of run {result.run_id} cannot be written to {directory}: {error.strerror or error}",
            hint=f"the run itself is stored; `strop runs report {result.run_id}` writes its report again",
        ) from error
    return replace(result, data=data)


def render(
    data: Data,
    stages: Mapping[str, Data] | None = None,
    candidates: Sequence[Data] = (),
    record: RunRecord | None = None,
) -> str:
    """The page of a run, from its result and, where they are at hand, its journal and its row.

    Every text in `data` counts as hostile: it is escaped, cut to a sane length, and the page allows no script.
    """
    test, dev, ledger = data.get("test"), data.get("dev"), data.get("ledger") or []
    tried = (data.get("candidates") or candidates)[:MOST_CANDIDATES]
    totals = _totals(ledger)
    named = {*(str(row.get("model")) for row in ledger), *map(str, (data.get("models") or {}).values())}
    return _template().render(
        data=data,
        headline=words.headline(data),
        test=test,
        dev=dev,
        stages=stages or {},
        record=record,
        settings=_settings(record),
        tried=tried,
        excluded=[one for one in tried if one.get("excluded")],
        ledger=ledger,
        totals=totals,
        columns=[(name, key) for name, key in _LEDGER_COLUMNS if totals[key] or key == "calls"],
        models=list(dict.fromkeys(str(row.get("model")) for row in ledger)),
        embedded=any(model.startswith("embedded/") for model in named),
        practice=bool((data.get("cost") or {}).get("practice_prices")),
        groups=_groups(data.get("changes") or []),
        same=bool(test) and words.same_program(data),
        search=charts.search_chart(tried, dev),
        spend=charts.spend_chart(ledger),
        made_with=_made_with(),
        **_prompts(data),
        **_test_charts(test),
    )


def _prompts(data: Data) -> dict[str, Any]:
    """The prompts compared; the first one alone where no other was chosen."""
    prompt, state = data.get("prompt") or {}, (data.get("program") or {}).get("state") or {}
    before, after = prompt.get("before"), prompt.get("after") or prompt.get("before")
    predictors = [name for name in state if name != "metadata"]
    return {
        "prompts": compare_prompts(before, after, predictors) if before else [],
        "prompt_cut": any(len(text or "") > MOST_CHARACTERS for text in (before, after)),
    }


def _test_charts(test: Data | None) -> dict[str, Any]:
    if not test:
        return {}
    bars = (("Baseline", "before", test.get("baseline")), ("Optimised", "after", test.get("optimized")))
    return {
        "interval": charts.interval_chart(test),
        "scores": charts.score_bars(bars),
        "outcome": charts.outcome_chart(test),
    }


def _recorded(run_id: str, journal: Journal) -> tuple[Mapping[str, Data], Sequence[Data], RunRecord | None]:
    """What the journal adds; a database that no longer answers must not cost the report."""
    try:
        return journal.stages(run_id), journal.candidates(run_id), journal.get(run_id)
    except StropError:
        return {}, (), None


def _replace(path: Path, content: bytes) -> None:
    """The file has its old content or the new one, never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _totals(ledger: Sequence[Data]) -> dict[str, float]:
    return {key: sum(words.number(row.get(key)) or 0 for row in ledger) for _, key in _LEDGER_COLUMNS}


def _groups(changes: Sequence[Data]) -> list[_Group]:
    """Broken examples first, for they are what a reader must judge; both kinds share the places in sight."""
    by_kind = {kind: [one for one in changes if one.get("kind") == kind] for kind in ("broke", "fixed")}
    half = OPEN_EXAMPLES // 2
    room = {
        "broke": max(half, OPEN_EXAMPLES - len(by_kind["fixed"])),
        "fixed": max(half, OPEN_EXAMPLES - len(by_kind["broke"])),
    }
    most = max(120, min(1200, EXAMPLE_CHARACTERS // max(1, 6 * len(changes))))
    cut = {kind: [_cut(one, most) for one in found] for kind, found in by_kind.items()}
    return [
        _Group(kind=kind, shown=found[: room[kind]], rest=found[room[kind] :]) for kind, found in cut.items() if found
    ]


def _cut(example: Data, most: int) -> dict[str, Any]:
    def fields(values: object) -> dict[str, str]:
        named = values if isinstance(values, Mapping) else {"": values}
        return {str(name)[:80]: shorten(str(value), most) for name, value in list(named.items())[:12]}

    texts = {name: fields(example.get(name) or {}) for name in ("inputs", "expected", "before", "after")}
    graded = any(example.get(name) not in (0, 1) for name in ("score_before", "score_after"))
    return {**example, **texts, "graded": graded, "reason": shorten(str(example.get("reason") or ""), most)}


def _settings(record: RunRecord | None) -> dict[str, str]:
    """The task's settings that shaped the run, as they were written; nothing that could hold an address or a key."""
    if record is None:
        return {}
    return {name: _plain(record.spec[name]) for name in _SETTINGS_SHOWN if name in record.spec}


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


@cache
def _made_with() -> str:
    """Versions of what makes the page."""
    found = [f"Strop {_version('strop')}", f"DSPy {_version('dspy')}", f"Python {platform.python_version()}"]
    return ", ".join(found)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(version unknown)"


@cache
def _template() -> Template:
    from jinja2 import ChainableUndefined, Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("strop.runs", "."),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": words.percent, "points": words.points, "p": words.p_value, "money": words.money,
        "count": words.count, "ms": words.milliseconds, "seconds": words.seconds, "phase": words.phase,
        "shorten": shorten, "sentence": words.sentence,
    }  # fmt: skip
    environment.filters.update(filters)
    return environment.get_template("report.html.j2", globals={"relative": words.relative, "number": words.number})
