"""The paper that travels with a saved program: what it is, what wrote it, and hashes of every part.

The hashes find damage and careless changes. They are no signature: whoever can write a file can write its hashes too,
which is why loading never executes anything from a file (see `trust`).
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from importlib.metadata import version
from typing import Any, cast

import orjson

from strop.errors import ArtifactRefused, BadInput
from strop.programs import STRATEGIES, ProgramSpec

FORMAT = "strop-version"
FORMAT_VERSION = 1
_PARTS = ("spec", "state", "metrics", "lineage", "notes")


def plain(value: Any, *, what: str) -> Any:
    """`value` as it will come back from JSON (NaN becomes None, tuples lists).

    Raises:
        BadInput: it has no JSON.
    """
    try:
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY))
    except TypeError as error:
        raise BadInput(f"the {what} of a version must be plain JSON values: {error}") from error


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """A copy of JSON `value` with `redact` applied to every text in it, keys included."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {redact(key): redacted(item, redact) for key, item in items}
    if isinstance(value, list):
        return [redacted(item, redact) for item in cast(list[Any], value)]
    return value


def seal(parts: Mapping[str, Any], known: Mapping[str, Any], created: datetime) -> dict[str, Any]:
    """The manifest of a version: `parts` are its spec, state, metrics, lineage and notes, `known` its names."""
    manifest: dict[str, Any] = {
        **known,
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sha256": {part: _digest(parts[part]) for part in _PARTS},
        "dspy": version("dspy"),
        "strop": version("strop"),
        "python": platform.python_version(),
        "created": created.isoformat(),
    }
    return {**manifest, "seal": _digest(manifest)}


def verify(manifest: object, parts: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The manifest, when it is ours and belongs to these parts; `where` names the artifact in messages.

    Raises:
        ArtifactRefused: foreign, of an unknown format, or altered.
    """
    checked = cast(dict[str, Any], manifest) if isinstance(manifest, dict) else {}
    if checked.get("format") != FORMAT:
        raise ArtifactRefused(
            f"{where} was not written by Strop: it has no manifest of the format {FORMAT!r}",
            hint="only what `strop versions export` wrote can be loaded",
        )
    if checked.get("format_version") != FORMAT_VERSION:
        raise ArtifactRefused(
            f"{where} has the format version {checked.get('format_version')!r}, and this Strop reads {FORMAT_VERSION}",
            hint="a newer Strop may have written it: pip install --upgrade strop",
        )
    sums = checked.get("sha256")
    if not isinstance(sums, dict) or not _holds(checked.get("seal"), _without_seal(checked)):
        raise _altered(where, "manifest")
    for part in _PARTS:
        if not _holds(cast(dict[str, Any], sums).get(part), parts.get(part)):
            raise _altered(where, part)
    return checked


def spec_json(spec: ProgramSpec) -> dict[str, Any]:
    return plain(asdict(spec), what="spec")


def spec_from(data: object, *, where: str) -> ProgramSpec:
    """
    Raises:
        ArtifactRefused: it is not the JSON of a spec that this Strop knows.
    """
    given = cast(dict[str, Any], data) if isinstance(data, dict) else {}
    unknown = sorted(set(given) - {field.name for field in fields(ProgramSpec)})
    if unknown:
        raise ArtifactRefused(f"{where} has a spec with keys that this Strop does not know: {', '.join(unknown)}")
    tools: Any = given.get("tools", [])
    texts = (given.get("signature"), given.get("instructions") or "", given.get("factory") or "")
    if not isinstance(tools, list) or not all(isinstance(text, str) for text in (*texts, *cast(list[Any], tools))):
        raise ArtifactRefused(f"{where} has a spec that cannot be read")
    if given.get("strategy") not in STRATEGIES:
        raise ArtifactRefused(f"{where} has the unknown strategy {given.get('strategy')!r}")
    return ProgramSpec(**cast(dict[str, Any], {**given, "tools": tuple(cast(list[str], tools))}))


def _altered(where: str, part: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"{where} was altered: its {part} does not have the recorded hash",
        hint="restore it from a backup, or export it again from the registry that made it",
    )


def _without_seal(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key != "seal"}


def _holds(recorded: object, value: Any) -> bool:
    try:
        return recorded == _digest(value)
    except TypeError:
        # A file can nest deeper than anything that was ever written.
        return False


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
