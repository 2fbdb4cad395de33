"""A version as a file or a directory of JSON, written whole or not at all, and read without executing anything."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from strop import programs
from strop.errors import ArtifactRefused, BadInput, NotFound, StoreUnwritable
from strop.programs import ProgramSpec
from strop.registry.manifest import spec_from, verify
from strop.registry.trust import refuse_code, refuse_odd_state

if TYPE_CHECKING:
    import dspy

LARGEST = 50 * 1024 * 1024
_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
_PICKLED = {".pkl", ".pickle"}
_OTHERS = {
    b"\x80": "a pickle",
    b"PK\x03\x04": "a zip archive (a PyTorch file is one)",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Where a version was written; `notice` is something the user should be told, or None."""

    path: Path
    notice: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedProgram:
    """A program read from a file, its hashes verified. Metrics and lineage are the file's word, not measured here."""

    name: str
    number: int
    label: str
    notes: str
    spec: ProgramSpec
    state: Mapping[str, Any]
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    lineage: Mapping[str, Any]

    def program(self) -> dspy.Module:
        """A new program each time.

        Raises:
            ArtifactRefused: the state does not fit the spec.
        """
        return programs.restore(self.spec, self.state)


def write(path: Path, *, manifest: Mapping[str, Any], parts: Mapping[str, Any]) -> Exported:
    """Write to one file when `path` ends in .json (or .pkl: JSON all the same), else to a directory of two.

    Raises:
        BadInput: the directory exists and has something else in it.
        StoreUnwritable: the disk is full or `path` cannot be written; nothing is left behind.
    """
    program = {key: parts[key] for key in ("spec", "state")}
    about = {"manifest": manifest, **{key: parts[key] for key in ("metrics", "lineage", "notes")}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() not in {".json", *_PICKLED}:
            _write_directory(path, {"program.json": _json(program), "manifest.json": _json(about)})
            return Exported(path=path)
        _replace_file(path, _json({**about, "program": program}))
    except OSError as error:
        raise StoreUnwritable(f"{path} cannot be written: {error.strerror or error}") from error
    if path.suffix.lower() in _PICKLED:
        return Exported(
            path=path, notice=f"{path.name} holds JSON, not a pickle: Strop neither writes nor reads pickles"
        )
    return Exported(path=path)


def read(path: Path, *, trust_code: bool) -> LoadedProgram:
    """
    Raises:
        NotFound: there is no such file.
        ArtifactRefused: altered, foreign, of another format version, too big, or it would run code.
    """
    where = str(path)
    if path.is_dir():
        program, about = _document(path / "program.json"), _document(path / "manifest.json")
    else:
        about = _document(path)
        program = _object(about.get("program"), where)
    parts = {key: program.get(key) for key in ("spec", "state")}
    parts |= {key: about.get(key) for key in ("metrics", "lineage", "notes")}
    manifest = verify(about.get("manifest"), parts, where=where)
    spec = spec_from(parts["spec"], where=where)
    if not trust_code:
        refuse_code(spec, where=where)
        refuse_odd_state(parts["state"], where=where)
    return LoadedProgram(
        name=str(manifest.get("name")),
        number=manifest["number"] if isinstance(manifest.get("number"), int) else 0,
        label=str(manifest.get("label")),
        notes=str(parts["notes"]),
        spec=spec,
        state=_object(parts["state"], where),
        manifest=manifest,
        metrics=_object(parts["metrics"], where),
        lineage=_object(parts["lineage"], where),
    )


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArtifactRefused(f"{where} was not written by Strop: a part of it is missing")
    return cast(dict[str, Any], value)


def _document(path: Path) -> dict[str, Any]:
    content = _content(path)
    for magic, kind in _OTHERS.items():
        if content.startswith(magic):
            raise _foreign(path, kind)
    if not content.lstrip().startswith(b"{"):
        raise _foreign(path, "a pickle or something else" if path.suffix.lower() in _PICKLED else "something else")
    try:
        return cast(dict[str, Any], orjson.loads(content))
    except orjson.JSONDecodeError as error:
        raise ArtifactRefused(f"{path} is not whole JSON: {error}") from error


def _foreign(path: Path, kind: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"{path} is {kind}, not the JSON of a Strop program; it was not executed",
        hint="pickles run code when they are loaded, so Strop reads only what `strop versions export` wrote",
    )


def _content(path: Path) -> bytes:
    """The bytes of a regular file. A device would never end, a pipe never begin, so neither is opened."""
    try:
        found = path.lstat() if path.name in {"program.json", "manifest.json"} else path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ArtifactRefused(f"{path} is not a plain file")
        if found.st_size > LARGEST:
            raise ArtifactRefused(f"{path} has {found.st_size:,} bytes; a program has at most {LARGEST:,}")
        with path.open("rb") as file:
            return file.read(LARGEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"there is no program file {str(path)!r}") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error}") from error


def _json(data: object) -> bytes:
    return orjson.dumps(data, option=_INDENTED)


def _write_directory(path: Path, files: Mapping[str, bytes]) -> None:
    if path.is_dir() and (present := {entry.name for entry in path.iterdir()}):
        if present == set(files) and all((path / name).read_bytes() == content for name, content in files.items()):
            return
        raise BadInput(f"{path} exists and is not empty", hint="export to another path, or remove it first")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        for name, content in files.items():
            _write_synced(temporary / name, content)
        _sync_directory(temporary)
        temporary.rename(path)
        _sync_directory(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_file(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_synced(temporary, content)
        temporary.replace(path)
        _sync_directory(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Make a rename last through a power cut, where the system can (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
