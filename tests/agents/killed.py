"""Kills an installation (or its way back) before each of its renames and removals in turn, and looks what comes of it.

A process of its own, because it forks: `python -m tests.agents.killed HOME install|uninstall`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from strop.agents.installing import installed, uninstall
from strop.exporters import export, load
from tests.agents.test_installing import put_in, tree, user_place
from tests.exporters.prompts import prompt

WATCHED = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}


def killed_at(step: int, home: Path, what: str) -> bool:
    """Whether the command was killed; False when it has fewer steps."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = step

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in WATCHED and str(arguments[0]).startswith(str(home)):
            left -= 1
            if left < 0:
                os._exit(9)

    sys.addaudithook(audit)
    status = 1
    try:
        act(home, what)
        status = 0
    finally:
        os._exit(status)


def act(home: Path, what: str) -> None:
    place = user_place(home)
    if what == "install":
        put_in(place, default=True)
    elif installed(place):
        uninstall(place)


def main(home: Path, what: str) -> None:
    place = user_place(home)
    untouched = tree(home)
    for step in range(what == "install", 200, 3):
        if what == "uninstall":
            put_in(place, default=True)
        killed = killed_at(step, home, what)
        if what == "install":
            put_in(place, default=True)
            assert load((place.root / "opencode.json").read_text())["default_agent"] == "mine"
            assert (place.root / "agent" / "mine.md").read_text() == export(prompt()).content
            uninstall(place)
        elif installed(place) or (place.state / "pending.json").exists():
            uninstall(place)
        else:
            put_in(place, default=True)  # any next command tidies up
            uninstall(place)
        assert tree(home) == untouched, (step, sorted(set(tree(home)) ^ set(untouched)))
        if not killed:
            print(step)
            return


if __name__ == "__main__":
    os.fsync = lambda descriptor: None  # processes are killed here, not the machine
    main(Path(sys.argv[1]), sys.argv[2])
