"""What was installed and how it was before: files change all together or not at all, through a crash and back."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import stat
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from strop.agents.parts import Part
from strop.agents.places import Place
from strop.errors import BadInput, StoreUnwritable
from strop.exporters import write_whole

LARGEST = 20 * 1024 * 1024
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Kind = TypeVar("_Kind", bound=_Frozen)


class Tracked(_Frozen):
    """A file with something of ours in it. `path` is relative to the place's root, with slashes."""

    path: str
    base: Sha | None
    """What it was without us (a copy is kept under this name); None: there was no such file."""
    installed: Sha | None
    """What it is with us."""
    parts: tuple[Part, ...]


class Journal(_Frozen):
    """Everything installed at one place. `made` are directories that were not there before."""

    version: Literal[1] = 1
    files: tuple[Tracked, ...] = ()
    made: tuple[str, ...] = ()
    agents: Mapping[str, Mapping[str, Any]] = {}

    def file(self, path: str) -> Tracked | None:
        return next((one for one in self.files if one.path == path), None)


class Action(_Frozen):
    """One file that goes from one content to another; None is no file."""

    path: str
    before: Sha | None
    after: Sha | None


class Pending(_Frozen):
    """A change that has begun: all that is needed to complete it."""

    actions: tuple[Action, ...]
    journal: Journal


def digest(content: bytes | None) -> str | None:
    """SHA-256 (hex) of a file's content."""
    return None if content is None else hashlib.sha256(content).hexdigest()


class Keeper:
    """Reads and changes the files of one place, one process at a time (see `opened`)."""

    def __init__(self, place: Place, *, made: Sequence[str] = ()) -> None:
        self.place = place
        self._made = tuple(made)
        self._journal = place.state / "journal.json"
        self._pending = place.state / "pending.json"

    def journal(self) -> Journal:
        """What is installed. Raises BadInput when the journal is damaged."""
        return self._document(self._journal, Journal) or Journal()

    def where(self, path: str) -> Path:
        """The real file behind `path`: links are followed, but never out of a project.

        Raises:
            BadInput: it leads out of the place, or in a circle.
        """
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts or "\\" in path:
            raise BadInput(f"{path!r} leads out of {self.place.root}")
        try:
            real = (self.place.root / relative).resolve()
        except (OSError, RuntimeError) as error:
            raise BadInput(f"{path!r} is a link in a circle") from error
        if self.place.in_project and not real.is_relative_to(self.place.root):
            raise BadInput(
                f"{path!r} is a link to {real}, out of the project, and is not written through",
                hint="replace the link by a file, or install for the user instead of the project",
            )
        return real

    def read(self, path: str) -> bytes | None:
        """The file's content, None without one. Raises BadInput when it is no plain file or cannot be read."""
        real = self.where(path)
        try:
            found = real.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
                raise BadInput(f"{real} is no plain file of at most {LARGEST:,} bytes")
            return real.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BadInput(f"{real} cannot be read: {error.strerror or error}") from error

    def kept(self, sha: str | None) -> bytes | None:
        """A copy that was kept. Raises BadInput when it is gone or damaged."""
        if sha is None:
            return None
        path = self.place.state / "backups" / sha
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if digest(content) == sha:
                return content
        raise BadInput(f"the copy {path} of an earlier file is gone or damaged, so it cannot be brought back")

    def commit(self, contents: Mapping[str, bytes | None], journal: Journal, keep: Sequence[bytes] = ()) -> None:
        """Bring all files to `contents` and the journal with them; `keep` is what must be found again under its hash.

        Raises:
            StoreUnwritable: a file cannot be written; all files are as they were.
        """
        before = {path: self.read(path) for path in contents}
        actions = tuple(
            Action(path=path, before=digest(before[path]), after=digest(content)) for path, content in contents.items()
        )
        made = dict.fromkeys([*journal.made, *self._made, *missing_directories(self.place, list(contents))])
        journal = journal.model_copy(update={"made": tuple(made)})
        try:
            self._prepare(keep, [one for one in contents.values() if one is not None])
            write_whole(self._pending, Pending(actions=actions, journal=journal).model_dump_json(indent=1).encode())
            for path, content in contents.items():
                self._bring(path, content)
        except BaseException as error:
            self._back(before)
            if isinstance(error, OSError):
                told = f"{error.filename or self.place.root} cannot be written: {error.strerror or error}"
                raise StoreUnwritable(told, hint="nothing was changed") from error
            raise
        self._finish(journal)

    def recover(self) -> tuple[str, ...]:
        """Complete a change that was cut short; returns what the user should be told."""
        pending = self._document(self._pending, Pending)
        if pending is None:
            return ()
        notices = ["an installation that was cut short has been completed first"]
        try:
            for action in pending.actions:
                real, found = self.where(action.path), digest(self.read(action.path))
                for left in real.parent.glob(f".{glob.escape(real.name[:100])}.????????.tmp"):
                    left.unlink()
                if found == action.after:
                    continue
                if found == action.before:
                    self._bring(action.path, self._staged(action.after))
                else:
                    notices.append(f"{real} was changed by somebody meanwhile and was left as it is")
        except OSError as error:
            told = f"an installation was cut short and cannot be completed: {error.strerror or error}"
            raise StoreUnwritable(told) from error
        self._finish(pending.journal)
        return tuple(notices)

    def _staged(self, sha: str | None) -> bytes | None:
        return None if sha is None else (self.place.state / "staged" / sha).read_bytes()

    def _prepare(self, keep: Sequence[bytes], staged: Sequence[bytes]) -> None:
        state = self.place.state
        for name, contents in (("backups", keep), ("staged", staged)):
            (state / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            for content in contents:
                write_whole(state / name / str(digest(content)), content, mode=0o600)
        if not (state / ".gitignore").exists():
            # Copies of a user's settings may hold keys: they must not slip into a repository.
            write_whole(state / ".gitignore", b"*\n")

    def _bring(self, path: str, content: bytes | None) -> None:
        real = self.where(path)
        if content is None:
            real.unlink(missing_ok=True)
            return
        real.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
        write_whole(real, content, mode=mode)

    def _back(self, before: Mapping[str, bytes | None]) -> None:
        """After a failure: every file as it was. What cannot be undone stays pending for the next command."""
        with contextlib.suppress(OSError, BadInput):
            for path, content in before.items():
                if self.read(path) != content:
                    self._bring(path, content)
            self._pending.unlink(missing_ok=True)

    def _finish(self, journal: Journal) -> None:
        """Once nothing is installed, the directories that we made go before the note that they were made."""
        if journal.files:
            write_whole(self._journal, journal.model_dump_json(indent=1).encode())
        else:
            self._journal.unlink(missing_ok=True)
            self._made = tuple({*journal.made, *self._made})
            for relative in sorted(self._made, key=len, reverse=True):
                with contextlib.suppress(OSError, BadInput):
                    self.where(relative).rmdir()
        self._pending.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove copies that nobody needs, and, when nothing is installed, everything that is only ours."""
        if self._pending.exists():
            return
        state, journal = self.place.state, self.journal()
        needed = {one.base for one in journal.files}
        for path in [*state.glob("backups/*"), *state.glob("staged/*"), *state.glob(".*.tmp")]:
            if path.parent.name != "backups" or path.name not in needed:
                path.unlink(missing_ok=True)
        empty = [state / "backups", state / "staged"]
        if not journal.files:
            if {one.name for one in state.iterdir()} <= {"backups", "staged", ".gitignore", "lock"}:
                for name in (".gitignore", "lock"):
                    (state / name).unlink(missing_ok=True)
            inside = [self.place.root / one for one in sorted(self._made, key=len, reverse=True)]
            empty += [state, *([state.parent] if self.place.in_project else []), *inside]
        for directory in empty:
            with contextlib.suppress(OSError):
                directory.rmdir()

    def _document(self, path: Path, kind: type[_Kind]) -> _Kind | None:
        try:
            return kind.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError) as error:
            raise BadInput(
                f"{path} cannot be read, so what was installed here is not known",
                hint=f"the files as they were before are in {path.parent / 'backups'}",
            ) from error


@contextmanager
def opened(place: Place, *, change: bool = True) -> Generator[Keeper]:
    """The keeper of a place, with the place to itself when something is to be changed.

    Raises:
        BadInput: the project keeps its notes outside of itself.
        StoreUnwritable: the place cannot be written.
    """
    if not change:
        yield Keeper(place)
        return
    if place.in_project and not place.state.resolve().is_relative_to(place.root):
        raise BadInput(f"{place.state} leads out of the project and is not written through")
    made = missing_directories(place, [(place.state / "lock").relative_to(place.root).as_posix()])
    try:
        place.state.mkdir(parents=True, exist_ok=True)
        lock = _locked(place.state / "lock")
    except OSError as error:
        told = f"{error.filename or place.state} cannot be written: {error.strerror or error}"
        raise StoreUnwritable(told, hint="nothing was changed") from error
    with lock:
        keeper = Keeper(place, made=made)
        try:
            yield keeper
        finally:
            keeper.tidy()


def missing_directories(place: Place, paths: Sequence[str]) -> list[str]:
    """Directories from the root to these files that do not exist yet; `.` is the root."""
    parents = dict.fromkeys(str(parent) for path in paths for parent in PurePosixPath(path).parents)
    return [parent for parent in parents if not (place.root / parent).exists()]


def _locked(path: Path) -> BinaryIO:
    """An open file that no other process has locked; freed when it is closed, also by a crash."""
    while True:
        file = path.open("ab")
        try:
            import fcntl
        except ImportError:
            return file
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        # The one before us may have removed the file with the last installation.
        with contextlib.suppress(OSError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()
        path.parent.mkdir(parents=True, exist_ok=True)
