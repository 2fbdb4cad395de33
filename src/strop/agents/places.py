"""Where each client looks for agents, for standing instructions and for its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from strop.errors import BadInput

InstallClient = Literal["opencode", "claude-code", "codex"]
INSTALL_CLIENTS: tuple[InstallClient, ...] = get_args(InstallClient)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One client's files of one user, or of one project.

    Every file that is written lies under `root`; `state` keeps what is needed to take it all back. `agents`, `memory`
    and `settings` are None where the client has no such thing.
    """

    client: InstallClient
    root: Path
    state: Path
    in_project: bool
    agents: Path | None
    memory: Path
    settings: Path | None


def place_of(client: str, *, environment: Mapping[str, str], home: Path, project: Path | None = None) -> Place:
    """The user's own place, or that of `project` (a directory).

    Raises:
        BadInput: the client is unknown, or the project is no directory.
    """
    if client not in INSTALL_CLIENTS:
        raise BadInput(f"nothing can be installed for {client!r}", hint=f"the clients are {', '.join(INSTALL_CLIENTS)}")
    if project is not None:
        if not project.is_dir():
            raise BadInput(f"{str(project)!r} is no directory")
        return _in_project(client, project.resolve())
    roots = {
        "opencode": _directory(environment, "XDG_CONFIG_HOME", home / ".config") / "opencode",
        "claude-code": _directory(environment, "CLAUDE_CONFIG_DIR", home / ".claude"),
        "codex": _directory(environment, "CODEX_HOME", home / ".codex"),
    }
    root = Path(roots[client]).resolve()
    state = root / ".strop"
    if client == "opencode":
        return Place(
            client="opencode", root=root, state=state, in_project=False, agents=_agents(root),
            memory=root / "AGENTS.md", settings=_settings(root),
        )  # fmt: skip
    if client == "claude-code":
        return Place(
            client="claude-code", root=root, state=state, in_project=False, agents=root / "agents",
            memory=root / "CLAUDE.md", settings=None,
        )  # fmt: skip
    return Place(
        client="codex", root=root, state=state, in_project=False, agents=None, memory=root / "AGENTS.md", settings=None
    )


def _in_project(client: InstallClient, root: Path) -> Place:
    state = root / ".strop" / "agents"
    if client == "claude-code":
        return Place(
            client=client, root=root, state=state, in_project=True, agents=root / ".claude" / "agents",
            memory=root / "CLAUDE.md", settings=None,
        )  # fmt: skip
    opencode = client == "opencode"
    inner = root / ".opencode"
    own_settings = inner if any((inner / name).exists() for name in ("opencode.jsonc", "opencode.json")) else root
    return Place(
        client=client, root=root, state=state, in_project=True, agents=_agents(inner) if opencode else None,
        memory=root / "AGENTS.md", settings=_settings(own_settings) if opencode else None,
    )  # fmt: skip


def _directory(environment: Mapping[str, str], name: str, usual: Path) -> Path:
    return Path(environment[name]).expanduser() if environment.get(name) else usual


def _agents(root: Path) -> Path:
    """OpenCode reads both spellings; the one that is there is kept."""
    plural = root / "agents"
    return plural if plural.is_dir() and not (root / "agent").is_dir() else root / "agent"


def _settings(root: Path) -> Path:
    """OpenCode merges both files, and what the .jsonc says counts."""
    with_comments = root / "opencode.jsonc"
    return with_comments if with_comments.exists() else root / "opencode.json"
