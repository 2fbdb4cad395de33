"""An agent file is tried before anybody's client sees it: against the client's rules, and with the client itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from strop.errors import BadInput
from strop.exporters import claude_problems, dumped, opencode_problems, split_front_matter

TIMEOUT_S = 60.0
OFFLINE = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "OPENCODE_DISABLE_SHARE": "1",
    "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
    # It asks npm for its plugin package in every configuration directory.
    "npm_config_offline": "true",
}
_SETTINGS = {"$schema": "https://opencode.ai/config.json", "autoupdate": False, "share": "disabled"}


def check_agent_file(client: str, text: str, *, name: str) -> None:
    """
    Raises:
        BadInput: the client would not take the file, or would break on it.
    """
    found = opencode_problems(text) if client == "opencode" else claude_problems(text)
    if found:
        raise BadInput(f"the agent file of {name} would not work: {'; '.join(found)}", hint="nothing was installed")


def try_with_opencode(
    name: str, *, agent_file: str | None, settings: Mapping[str, Any], environment: Mapping[str, str]
) -> str | None:
    """Let the real client read the agent in an empty configuration of its own, without network; None without a client.

    Returns what was found, as part of a sentence.

    Raises:
        BadInput: the client refuses it, understands another prompt, or does not answer within a minute.
    """
    command = shutil.which("opencode", path=environment.get("PATH"))
    if command is None:
        return None
    with tempfile.TemporaryDirectory(prefix="strop-check-", ignore_cleanup_errors=True) as given:
        home = Path(given)
        config = home / "config" / "opencode"
        (config / "agent").mkdir(parents=True)
        (home / "work").mkdir()
        (config / "opencode.json").write_text(dumped({**_SETTINGS, **settings}), encoding="utf-8")
        if agent_file is not None:
            (config / "agent" / f"{name}.md").write_bytes(agent_file.encode())
        done = _asked(command, name, home, environment)
    try:
        told: object = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        told = None
    if done.returncode != 0 or not isinstance(told, dict):
        words = (done.stderr or done.stdout).strip()[-500:]
        raise BadInput(f"opencode does not accept the agent {name}: {words}", hint="nothing was installed")
    resolved = cast("dict[str, Any]", told)
    wanted = split_front_matter(agent_file)[1] if agent_file is not None else settings["agent"][name]["prompt"]
    if str(resolved.get("prompt", "")).strip() != wanted.strip():
        raise BadInput(
            f"opencode reads another prompt out of the agent {name} than was exported", hint="nothing was installed"
        )
    return f"opencode itself accepts it (mode {resolved.get('mode')})"


def _asked(command: str, name: str, home: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`opencode debug agent NAME` with nothing of the user's but the way to programs."""
    own = {
        key: str(home / place)
        for key, place in (
            ("HOME", ""), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"), ("TMPDIR", ""),
        )
    }  # fmt: skip
    kept = {key: environment[key] for key in ("PATH", "SYSTEMROOT", "COMSPEC", "LANG") if key in environment}
    try:
        return subprocess.run(  # noqa: S603 - a list of fixed words and a slug, of a command that the user has on PATH
            [command, "debug", "agent", name],
            cwd=home / "work",
            env={**kept, **own, **OFFLINE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"opencode did not answer within {TIMEOUT_S:.0f} s when it was asked to read the agent {name}",
            hint="nothing was installed; --no-client-check installs without asking it",
        ) from None
    except OSError as error:
        raise BadInput(f"opencode cannot be started: {error}", hint="--no-client-check installs without it") from error
