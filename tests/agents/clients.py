"""The real agent clients in a home of their own, with the test's provider server as their only model and only network.

They come from `make clients`; a test that needs one fails without it. A client finds its configuration in its home, and
proxy variables that point at the server, so that whatever it asks of the outside is in `server.strays`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.provider_server import Endpoints, ProviderServer

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / ".tools/clients/bin"
KEY = "sk-test-2b7e151628aed2a6"

BROKEN = "def add(a, b):\n    return a - b\n"
FIXED = "def add(a, b):\n    return a + b\n"
CHECK = (
    "import unittest\n\nfrom calc import add\n\n\nclass TestAdd(unittest.TestCase):\n"
    "    def test_add(self):\n        self.assertEqual(add(2, 3), 5)\n"
)
RUN_CHECK = "python3 -m unittest -q test_calc"


def command_of(name: str) -> Path:
    """The installed client; fails the test with what to do when it is not there."""
    command = COMMANDS / name
    if not command.exists():
        pytest.fail(f"the real client `{name}` is not installed; run `make clients`", pytrace=False)
    return command


@dataclass(frozen=True)
class Ran:
    """How one command ended. Both streams are UTF-8."""

    code: int
    out: str
    err: str

    def ok(self) -> "Ran":
        assert self.code == 0, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self

    def lines(self) -> list[Any]:
        """The output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]


@dataclass(frozen=True, kw_only=True)
class Client:
    """One client, one home, one project: a repository-less directory with a wrong `calc.py` and its test."""

    command: Path
    home: Path
    project: Path
    environment: Mapping[str, str] = field(repr=False)

    def run(self, *words: str, timeout: float = 120, cwd: Path | None = None, **environment: str) -> Ran:
        """The client's end, with standard input closed. Whatever it leaves running in its process group is killed."""
        return run([str(self.command), *words], dict(self.environment) | environment, cwd or self.project, timeout)


def run(argv: list[str], environment: Mapping[str, str], cwd: Path, timeout: float) -> Ran:
    # Files, because a child that outlives the client would hold a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            process.wait(timeout)
            late = False
        except subprocess.TimeoutExpired:
            late = True
        finally:
            end_group(process)
        out.seek(0)
        err.seek(0)
        ran = Ran(process.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace"))
    if late:
        pytest.fail(f"{' '.join(argv)} took more than {timeout:g} s\n{ran.out[-2000:]}\n{ran.err[-2000:]}")
    return ran


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group that the process leads, and collect the process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def opencode(home: Path, server: Endpoints) -> Client:
    """Its model is `fake/fake-coder`; titles come from `fake/fake-small`."""
    settings = {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "enabled_providers": ["fake"],
        "model": "fake/fake-coder",
        "small_model": "fake/fake-small",
        "provider": {
            "fake": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Fake",
                "options": {"baseURL": server.openai_base, "apiKey": KEY},
                "models": {
                    "fake-coder": {
                        "name": "Fake Coder",
                        "tool_call": True,
                        "cost": {"input": 3, "output": 15},
                        "limit": {"context": 128000, "output": 8192},
                    },
                    "fake-small": {"name": "Fake Small", "limit": {"context": 32000, "output": 4096}},
                },
            }
        },
    }
    written(home / ".config/opencode/opencode.json", json.dumps(settings, indent=2) + "\n")
    flags = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
    environment = {f"OPENCODE_DISABLE_{flag}": "1" for flag in flags}
    # For every directory with configuration it asks npm's registry for a package of types.
    environment["npm_config_offline"] = "true"
    return _client("opencode", home, server, environment)


def claude(home: Path, server: Endpoints) -> Client:
    """Its configuration and its history are in `home/.claude`."""
    flags = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING")
    environment = dict.fromkeys((*flags, "DISABLE_AUTOUPDATER"), "1")
    environment |= {
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": server.root,
        "ANTHROPIC_API_KEY": KEY,
    }
    return _client("claude", home, server, environment)


def codex(home: Path, server: Endpoints, *, model: str = "fake-coder") -> Client:
    """Its configuration and its history are in `home/.codex`. No sandbox: not every machine lets it make one."""
    settings = f"""\
model = "{model}"
model_provider = "fake"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[model_providers.fake]
name = "Fake"
base_url = "{server.openai_base}"
wire_api = "responses"
env_key = "FAKE_API_KEY"
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false
"""
    written(home / ".codex/config.toml", settings)
    return _client("codex", home, server, {"CODEX_HOME": str(home / ".codex"), "FAKE_API_KEY": KEY})


def _client(name: str, home: Path, server: Endpoints, environment: Mapping[str, str]) -> Client:
    project = home / "project"
    written(project / "calc.py", BROKEN)
    written(project / "test_calc.py", CHECK)
    (home / "tmp").mkdir()
    # This Python first, so that the project's tests have one; then `rg` and `node`.
    path = [str(Path(sys.executable).parent), str(COMMANDS), "/usr/local/bin", "/usr/bin", "/bin"]
    base = {
        "HOME": str(home),
        "PATH": os.pathsep.join(path),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": str(home / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HTTP_PROXY": server.root,
        "HTTPS_PROXY": server.root,
        "NO_PROXY": "127.0.0.1,localhost",
    }
    return Client(command=command_of(name), home=home, project=project, environment=base | dict(environment))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def asked_outside(server: ProviderServer) -> list[str]:
    """What a client wanted from other hosts than the server, which it was told to use as its proxy."""
    return [f"{r.method} {r.path}" for r in server.strays if r.method == "CONNECT" or "://" in r.path]
