"""Who this process is, and whether another one on this machine still lives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process among all that ever ran.

    `machine` is the space in which `pid` means something (host name, boot and pid namespace: two containers may share
    a host name and never a namespace); `birth` tells two processes apart that had the same pid, '' when unknown.
    """

    host: str
    machine: str
    pid: int
    birth: str

    @classmethod
    def this(cls) -> Process:
        pid = os.getpid()
        return cls(host=socket.gethostname(), machine=_machine(), pid=pid, birth=_birth(pid))

    def is_surely_dead(self) -> bool:
        """True only when it ran on this machine since its last boot and is gone; False when that cannot be known."""
        if self.machine != _machine() or not self.birth:
            return False
        return _birth(self.pid) != self.birth


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = space = ""
    return " ".join((socket.gethostname(), sys.platform, boot, space)).strip()


def _birth(pid: int) -> str:
    """When the process was started, as the system words it; '' when there is none or it only waits to be reaped."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        # proc(5): the second field is the command in brackets and may hold anything; state is field 3, start time 22.
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in {"Z", "X"} else fields[19]
    if os.name == "posix":
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed words and an integer
        return told.stdout.strip()
    return ""
