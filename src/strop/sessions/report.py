"""The report of a session: an HTML page that needs no network, Markdown, and JSON with every iteration."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import orjson

from strop.errors import StoreUnwritable
from strop.gateway import Redactor
from strop.sessions.collector import statistics_of
from strop.sessions.measures import performance, training_metrics
from strop.sessions.recommending import Decision, decide
from strop.sessions.report_html import render_html
from strop.sessions.report_keeping import keep_earlier, named_like
from strop.sessions.report_markdown import render_markdown
from strop.sessions.result import SessionResult, now

Redact = Callable[[str], str]
FORMAT = "strop.session/1"


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Where the three forms of a report were written. `earlier` are the new names of another session's report that was
    there under the same name."""

    html: Path
    markdown: Path
    json: Path
    earlier: tuple[Path, ...] = ()

    def by_kind(self) -> dict[str, str]:
        """The full path of each form, by its name."""
        return {kind: str(getattr(self, kind).resolve()) for kind in ("html", "markdown", "json")}


def markdown(result: SessionResult, *, redact: Redact | None = None) -> str:
    """The report in Markdown. `redact` knows the secrets of the session (`gateway.redact`); left out, those of the
    environment and everything shaped like a key are taken out."""
    cleaned = _without_secrets(result, redact)
    return render_markdown(cleaned, decide(cleaned), now())


def html(result: SessionResult, *, redact: Redact | None = None) -> str:
    """The report as a page: charts inline, light and dark, no script, nothing fetched."""
    cleaned = _without_secrets(result, redact)
    return render_html(cleaned, decide(cleaned), now())


def as_json(result: SessionResult, *, redact: Redact | None = None) -> dict[str, Any]:
    """The report as JSON values: the decision with every test, the figures by model, and the whole session."""
    cleaned = _without_secrets(result, redact)
    return _as_json(cleaned, decide(cleaned), now())


def write_reports(
    result: SessionResult, directory: Path, *, redact: Redact | None = None, name: str | None = None
) -> ReportFiles:
    """Write `<name>.html`, `.md` and `.json` (the session's id if no name is given), each whole or not at all. Another
    session's report of that name is kept under a name with that session's id.

    Raises:
        StoreUnwritable: the directory cannot be written.
        BadInput: a file of that name is there which is no report.
    """
    page, document, data = named_like(directory / f"{name or result.session_id}.html")
    files = ReportFiles(html=page, markdown=document, json=data)
    cleaned, at = _without_secrets(result, redact), now()
    decided = decide(cleaned)
    contents = {
        files.html: render_html(cleaned, decided, at).encode("utf-8", "replace"),
        files.markdown: render_markdown(cleaned, decided, at).encode("utf-8", "replace"),
        files.json: orjson.dumps(_as_json(cleaned, decided, at), default=str, option=orjson.OPT_INDENT_2),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        earlier = keep_earlier(page, result.session_id)
        for file, content in contents.items():
            _replace(file, content)
    except OSError as error:
        raise StoreUnwritable(
            f"the report of session {result.session_id} cannot be written to {directory}: {error.strerror or error}",
            hint="the session itself is stored; its report can be written again at any time",
        ) from error
    return replace(files, earlier=tuple(earlier))


def _as_json(cleaned: SessionResult, decided: Decision, at: datetime) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "session_id": cleaned.session_id,
        "generated": at.isoformat(timespec="seconds"),
        "decision": decided.to_dict(),
        "comparison": {
            one.name: asdict(statistics_of(one.name, one.provider, one.iterations)) for one in cleaned.models
        },
        "measures": {
            one.name: {"performance": asdict(performance(one)), "training": asdict(training_metrics(one))}
            for one in cleaned.models
        },
        "session": cleaned.to_dict(),
    }


def _without_secrets(result: SessionResult, redact: Redact | None) -> SessionResult:
    """The decision is made from the cleaned result, so that its sentences are clean too."""
    return SessionResult.from_dict(cast("Mapping[str, Any]", _cleaned(result.to_dict(), redact or Redactor())))


def _cleaned(value: object, clean: Redact) -> object:
    if isinstance(value, str):
        return clean(value).encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(each, clean) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each, clean) for each in cast("list[object]", value)]
    return value


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
