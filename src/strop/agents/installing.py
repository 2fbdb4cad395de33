"""Puts an exported prompt where the real client picks it up, and takes it away again to the last byte."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strop.agents.journal import Journal, Keeper, opened
from strop.agents.parity import Parity
from strop.agents.parts import Part
from strop.agents.places import Place
from strop.agents.plans import plan_install, plan_uninstall
from strop.agents.validating import check_agent_file, try_with_opencode
from strop.errors import BadInput, ConstraintsUnmet, NotFound
from strop.exporters import (
    OWN_AGENTS,
    AgentPrompt,
    Exported,
    Format,
    Mode,
    agent_setting,
    body,
    export,
    get,
    marked,
    plain_slug,
    side_file,
    slug,
    without_imports,
)
from strop.gateway import Redactor

CODEX_READS = 32 * 1024
"""Bytes of AGENTS.md that Codex takes by default; the rest is cut off."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How to install.

    `mode` and `format` default to what the client is best at. `default` makes the agent OpenCode's default one.
    `backup` allows to put a file of the user's own aside that has the agent's name (it comes back on uninstall).
    `tools` are Claude Code's tool names for its agent file. `ask_client` lets an `opencode` on PATH judge the file.
    """

    mode: Mode | None = None
    format: Format | None = None
    default: bool = False
    backup: bool = False
    dry_run: bool = False
    tools: tuple[str, ...] = ()
    ask_client: bool = True


@dataclass(frozen=True, kw_only=True)
class Change:
    """One file that becomes another; None is no file."""

    path: Path
    before: bytes | None
    after: bytes | None

    def diff(self) -> str:
        """A unified diff to show; secrets that stand near a change are taken out."""
        redact, old, new = Redactor(), self.before, self.after
        lines = difflib.unified_diff(
            redact((old or b"").decode("utf-8", "replace")).splitlines(),
            redact((new or b"").decode("utf-8", "replace")).splitlines(),
            "/dev/null" if old is None else str(self.path),
            "/dev/null" if new is None else str(self.path),
            n=1,
            lineterm="",
        )
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What was done, or with `dry_run` what would be. `checks` say who found the agent file good."""

    client: str
    agents: tuple[str, ...]
    changes: tuple[Change, ...]
    checks: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    dry_run: bool = False


def install(
    prompt: AgentPrompt,
    place: Place,
    choice: Choice,
    *,
    provenance: Mapping[str, Any],
    parity: Parity | None,
    environment: Mapping[str, str],
) -> Installation:
    """Install `prompt` at `place`; a newer prompt of the same name takes the place of the older one.

    `parity` is what `check_parity` found; None says openly that nobody looked, and so does the side file.

    Raises:
        ConstraintsUnmet: the exported text falls short of the program.
        BadInput: the client would not take it, or a file is in the way; nothing was changed.
        StoreUnwritable: a file cannot be written; all files are as they were.
    """
    if parity is not None and not parity.passes:
        raise ConstraintsUnmet(parity.told(), hint="train longer, give a larger tolerance, or install with --no-parity")
    exported = _exported(prompt, place, choice)
    side = side_file(exported, {**provenance, "parity": "skipped" if parity is None else parity.data()})
    parts = _parts(prompt, exported, place, choice, side=side.decode())
    checks = _checked(exported, parts, choice, environment)
    with opened(place, change=not choice.dry_run) as keeper:
        notices = [] if choice.dry_run else list(keeper.recover())
        parts += _kept_default(keeper, parts)
        plan = plan_install(keeper, parts, backup=choice.backup)
        about = {"format": exported.format, "mode": exported.mode, "sha256": exported.sha256}
        journal = plan.journal.model_copy(
            update={"agents": {**plan.journal.agents, f"{place.client}/{exported.agent}": about}}
        )
        notices += _notices(place, exported, plan.contents)
        changes = _changes(keeper, plan.contents)
        if not choice.dry_run:
            keeper.commit(plan.contents, journal, plan.keep)
    return Installation(
        client=place.client, agents=(exported.agent,), changes=changes, checks=checks, notices=tuple(notices),
        dry_run=choice.dry_run,
    )  # fmt: skip


def uninstall(place: Place, agent: str | None = None, *, force: bool = False, dry_run: bool = False) -> Installation:
    """Take away an agent (or all of this client's) and bring every file back as it was before.

    Raises:
        NotFound: nothing of that name is installed.
        BadInput: somebody has changed a file since. With `force` only our parts are taken out of it.
        StoreUnwritable: a file cannot be written; all files are as they were.
    """
    with opened(place, change=not dry_run) as keeper:
        notices = [] if dry_run else list(keeper.recover())
        journal = keeper.journal()
        if notices and not any(key.startswith(f"{place.client}/") for key in journal.agents):
            return Installation(client=place.client, agents=(), changes=(), notices=tuple(notices))
        gone = _found(journal, place, agent)
        plan = plan_uninstall(keeper, journal, place, gone, force=force)
        left = {key: value for key, value in journal.agents.items() if key not in {f"{place.client}/{n}" for n in gone}}
        changes = _changes(keeper, plan.contents)
        notices += _still_default(place, keeper, plan.contents, gone) + list(plan.notices)
        if not dry_run:
            keeper.commit(plan.contents, plan.journal.model_copy(update={"agents": left}), plan.keep)
    return Installation(client=place.client, agents=gone, changes=changes, notices=tuple(notices), dry_run=dry_run)


def installed(place: Place) -> dict[str, Mapping[str, Any]]:
    """Agents of this client that are installed at `place`: name to format, mode and hash."""
    with opened(place, change=False) as keeper:
        found = keeper.journal().agents
    return {key.partition("/")[2]: value for key, value in found.items() if key.startswith(f"{place.client}/")}


def _exported(prompt: AgentPrompt, place: Place, choice: Choice) -> Exported:
    """The document for this client: an agent where it has agents, else a section of its AGENTS.md."""
    usual: Format = "claude" if place.client == "claude-code" else "opencode"
    if place.client == "codex" or (place.client == "opencode" and choice.mode == "append"):
        usual = "agents-md"
    fmt = choice.format or usual
    fitting = {"opencode": ("opencode", "agents-md", "jsonc"), "claude-code": ("claude",), "codex": ("agents-md",)}
    if fmt not in fitting[place.client]:
        raise BadInput(
            f"{place.client} does not read the format {fmt!r}", hint=f"it reads {', '.join(fitting[place.client])}"
        )
    exported = export(prompt, fmt, choice.mode, tools=choice.tools)
    if place.client == "opencode" and exported.mode == "replace" and exported.agent in OWN_AGENTS:
        raise BadInput(
            f"{exported.agent!r} is an agent of OpenCode's own",
            hint="an agent is called as its prompt is: give the prompt another name, or --mode append",
        )
    if choice.default and (place.client != "opencode" or exported.mode != "replace"):
        raise BadInput("only an OpenCode agent can be made the default one", hint="leave --default out")
    return exported


def _parts(
    prompt: AgentPrompt, exported: Exported, place: Place, choice: Choice, *, side: str
) -> list[tuple[Path, Part]]:
    """Our parts in the order of writing: settings that name an agent come after the agent."""
    name, client = exported.agent, place.client
    state_side = place.state / f"{client}-{name}.meta.json"

    def part(kind: Any, **values: Any) -> Part:
        return Part(client=client, agent=name, kind=kind, **values)

    if exported.format == "jsonc":
        assert place.settings is not None
        if exported.mode == "replace":
            setting = agent_setting(prompt)
            found = [(place.settings, part("key", keys=("agent", name), value=setting))]
        else:
            rules = place.settings.parent / "strop" / f"{name}.md"
            listed = f"strop/{name}.md" if place.in_project else str(rules)
            found = [
                (rules, part("file", text=body(prompt, "append"))),
                (place.settings, part("item", keys=("instructions",), value=listed)),
            ]
        found.insert(0, (state_side, part("file", text=side)))
    elif exported.mode == "append":
        # Two clients may share one AGENTS.md, so the marks name the client too.
        told = body(prompt, "append")
        text = marked(f"{client}.{name}", without_imports(told) if client == "claude-code" else told)
        found = [(state_side, part("file", text=side)), (place.memory, part("section", text=text))]
    else:
        assert place.agents is not None
        found = [
            (place.agents / f"{name}.meta.json", part("file", text=side)),
            (place.agents / exported.file_name, part("file", text=exported.content)),
        ]
    if choice.default and place.settings is not None:
        found.append((place.settings, part("key", keys=("default_agent",), value=name)))
    return found


def _kept_default(keeper: Keeper, parts: Sequence[tuple[Path, Part]]) -> list[tuple[Path, Part]]:
    """The default agent stays the default one when a newer prompt takes its place."""
    place, owner, keys = keeper.place, parts[0][1].owner, ("default_agent",)
    if place.settings is None or any(part.keys == keys for _, part in parts):
        return []
    ours = [part for file in keeper.journal().files for part in file.parts]
    return [(place.settings, part) for part in ours if part.owner == owner and part.keys == keys]


def _checked(
    exported: Exported, parts: Sequence[tuple[Path, Part]], choice: Choice, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Who found it good."""
    if exported.mode == "append":
        return ()
    agent_file = None if exported.format == "jsonc" else exported.content
    told: list[str] = []
    if agent_file is not None:
        client = "claude-code" if exported.format == "claude" else "opencode"
        check_agent_file(client, agent_file, name=exported.agent)
        told.append("its front matter keeps the client's rules")
    if exported.format == "claude" or not choice.ask_client:
        return tuple(told)
    settings: dict[str, Any] = {}
    for _, part in parts:
        if part.kind == "key":
            inner = settings
            for key in part.keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[part.keys[-1]] = part.value
    said = try_with_opencode(exported.agent, agent_file=agent_file, settings=settings, environment=environment)
    return (*told, said) if said else tuple(told)


def _found(journal: Journal, place: Place, agent: str | None) -> tuple[str, ...]:
    there = [key.partition("/")[2] for key in journal.agents if key.startswith(f"{place.client}/")]
    if agent is None and there:
        return tuple(there)
    names = [name for name in there if agent in {name} or (agent and name in {slug(agent), plain_slug(agent)})]
    if not names:
        what = f"agent {agent!r}" if agent else "nothing"
        told = f"{what} is not installed" if agent else "nothing is installed"
        hint = f"installed: {', '.join(there)}" if there else "--client names another client, --project DIR a project"
        raise NotFound(f"{told} for {place.client} in {place.root}", hint=hint)
    return tuple(names)


def _changes(keeper: Keeper, contents: Mapping[str, bytes | None]) -> tuple[Change, ...]:
    found = [
        Change(path=keeper.place.root / path, before=keeper.read(path), after=content)
        for path, content in contents.items()
    ]
    return tuple(change for change in found if change.before != change.after)


def _notices(place: Place, exported: Exported, contents: Mapping[str, bytes | None]) -> list[str]:
    told: list[str] = []
    memory = contents.get(place.memory.relative_to(place.root).as_posix())
    if place.client == "codex" and memory is not None and len(memory) > CODEX_READS:
        told.append(f"AGENTS.md has {len(memory):,} bytes now, and Codex reads the first {CODEX_READS:,} by default")
    if place.client == "opencode" and place.agents is not None and exported.format == "opencode":
        other = place.agents.with_name("agents" if place.agents.name == "agent" else "agent") / exported.file_name
        if other.exists():
            told.append(f"{other} has the same name, and OpenCode may take that one")
    return told


def _still_default(
    place: Place, keeper: Keeper, contents: Mapping[str, bytes | None], gone: Sequence[str]
) -> list[str]:
    """OpenCode does not start with a default agent that is not there."""
    if place.settings is None:
        return []
    path = place.settings.relative_to(place.root).as_posix()
    content = contents[path] if path in contents else keeper.read(path)
    text = (content or b"").decode("utf-8", "replace")
    try:
        named = get(text, ("default_agent",), file=path)
    except BadInput:
        return []
    if named not in gone:
        return []
    told = f"{place.settings} still has {named!r} as default_agent, which was not set by Strop"
    return [f"{told}: change it, or OpenCode fails"]
