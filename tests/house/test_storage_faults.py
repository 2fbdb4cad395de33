"""A full disk and a read-only directory: a clear word, exit 5, and everything from before still there."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.campaign import outcome, rows, run, task_directory
from tests.support.campaign_ledger import bought, everything, integrity
from tests.support.campaign_process import Child, strop

MODELS = {"task": {"model": "embedded/small", "latency_ms": 5}}
DISK = 8 * 2**20


def limited(words: Sequence[str], largest: int) -> None:
    """The command in a process whose files may not grow beyond `largest` bytes."""
    from strop.cli.main import main

    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    import sys

    sys.argv = ["strop", *words]
    main()


def powerless(words: Sequence[str]) -> None:
    """The command as somebody for whom the modes of files hold: root without its powers."""
    import sys

    from strop.cli.main import main

    if os.getuid() == 0:
        version_3, no_powers = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(version_3, no_powers) == 0
    sys.argv = ["strop", *words]
    main()


def make(path: Path, **keys: Any) -> Path:
    return task_directory(path, rows(80), algorithm="copro", models=MODELS, concurrency=8, seed=4, **keys)


@contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of a few megabytes. Only root can have one."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk; the limit on file sizes stands for it")
    place = Path(tempfile.mkdtemp(prefix="strop-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode:
        place.rmdir()
        pytest.skip("nothing can be mounted here; the limit on file sizes stands for it")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def fill(place: Path, *, leave: int) -> Path:
    """Use the disk up but for some bytes."""
    ballast = place / "ballast"
    free = os.statvfs(place)
    ballast.write_bytes(b"\0" * (free.f_bavail * free.f_frsize - leave))
    return ballast


def of_run(state: dict[str, list[tuple[Any, ...]]], run_id: str) -> list[tuple[Any, ...]]:
    """All rows that belong to a run."""
    return [row for rows_ in state.values() for row in rows_ if any(run_id in str(cell) for cell in row)]


def check_told(code: int, text: str) -> None:
    assert code == 5, text
    assert "cannot be written" in text
    assert "intact" in text
    assert "Traceback" not in text


def run_ids(directory: Path) -> list[str]:
    code, text = strop("runs", "--json", "-C", str(directory), output=directory.parent / "list.txt")
    listed = [record["id"] for record in json.loads(text)]
    (directory.parent / "list.txt").unlink()
    assert code == 0
    return listed


@pytest.mark.parametrize("leave", [100_000, 500_000])
def test_a_run_on_a_disk_that_fills_up_says_so_and_goes_on_when_there_is_space(tmp_path: Path, leave: int) -> None:
    expected = run(make(tmp_path / "whole"))
    with small_disk() as disk:
        directory = make(disk / "task")
        earlier = run(directory, algorithm="labeledfewshot", seed=9)
        assert earlier.status == "completed"
        before = of_run(everything(directory), earlier.run_id)
        ballast = fill(disk, leave=leave)
        code, text = strop("optimize", str(directory), "--quiet", output=tmp_path / "a")
        check_told(code, text)
        ballast.unlink()
        assert integrity(directory) == "ok"
        assert of_run(everything(directory), earlier.run_id) == before
        (run_id,) = set(run_ids(directory)) - {earlier.run_id}
        paid = bought(directory)
        resumed = run(directory, run_id)
        assert {k: v for k, v in outcome(resumed).items() if "version" not in k} == {
            k: v for k, v in outcome(expected).items() if "version" not in k
        }
        assert max(bought(directory).values()) == 1
        assert paid.keys() <= bought(directory).keys()


def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    expected = run(make(tmp_path / "whole"))
    directory = make(tmp_path / "task")
    words = ("optimize", str(directory), "--quiet")
    with Child(limited, words, 600_000, output=tmp_path / "a") as child:
        code = child.wait()
    check_told(code, child.text)
    assert integrity(directory) == "ok"
    assert 0 < sum(bought(directory).values()) < expected.data["cost"]["paid_calls"]
    (run_id,) = run_ids(directory)
    assert outcome(run(directory, run_id)) == outcome(expected)
    assert max(bought(directory).values()) == 1


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory that is made writable again at the end, for pytest to remove it."""
    yield tmp_path / "task"
    for path in [tmp_path / "task", *(tmp_path / "task").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def close(directory: Path) -> None:
    for path in [directory, *directory.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_directory_that_cannot_be_written_is_said_before_any_call(closed: Path, tmp_path: Path) -> None:
    directory = make(closed)
    close(directory)
    with Child(powerless, ("optimize", str(directory), "--quiet"), output=tmp_path / "a") as child:
        code = child.wait()
    check_told(code, child.text)
    assert not (directory / ".strop").exists()


def test_a_database_that_became_read_only_is_left_as_it_is(closed: Path, tmp_path: Path) -> None:
    directory = make(closed)
    assert run(directory).status == "completed"
    files = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    close(directory)
    with Child(powerless, ("optimize", str(directory), "--seed", "5", "--quiet"), output=tmp_path / "a") as child:
        code = child.wait()
    check_told(code, child.text)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == files
