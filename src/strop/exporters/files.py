"""The formats by name, and an exported prompt as files: the document itself, and beside it where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from strop.errors import BadInput, StoreUnwritable
from strop.exporters import agents_md, claude, opencode_agent
from strop.exporters.jsonc import dumped
from strop.exporters.naming import plain_slug, slug
from strop.exporters.prompt import AgentPrompt
from strop.exporters.text import Mode, body
from strop.exporters.writing import write_whole

Format = Literal["opencode", "agents-md", "claude", "jsonc", "text"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One exported document. `agent` is its name as the client knows it, `file_name` a safe name for the file."""

    agent: str
    format: Format
    mode: Mode
    file_name: str
    content: str

    @property
    def sha256(self) -> str:
        """Of the content's bytes, hex."""
        return hashlib.sha256(self.content.encode()).hexdigest()


def export(
    prompt: AgentPrompt,
    format: Format = "opencode",
    mode: Mode | None = None,
    *,
    tools: Sequence[str] = (),
) -> Exported:
    """The document in one format; without a mode the one that the format is for.

    `tools` are Claude Code's names of the tools that the agent may use, for its agent file only.

    Raises:
        BadInput: the format cannot do that mode, or the model or a tool has no proper name.
    """
    if format not in FORMATS:
        raise BadInput(f"format {format!r} is unknown", hint=f"the formats are {', '.join(FORMATS)}")
    chosen: Mode = mode or ("append" if format == "agents-md" else "replace")
    name = plain_slug(prompt.name) if format == "claude" else slug(prompt.name)
    named = replace(prompt, name=name)
    if format == "agents-md":
        if chosen == "replace":
            raise BadInput(
                "AGENTS.md is added to the client's own prompt and cannot replace it",
                hint="use --mode append, or --format opencode for an agent with a prompt of its own",
            )
        file, content = "AGENTS.md", agents_md.section(named)
    elif format == "opencode":
        if chosen == "append":
            raise BadInput(
                "an OpenCode agent file replaces the default prompt and cannot be added to it",
                hint="use --format agents-md (or jsonc, which names the file under `instructions`) with --mode append",
            )
        file, content = f"{name}.md", opencode_agent.render(named)
    elif format == "claude":
        appended = chosen == "append"
        file = "CLAUDE.md" if appended else f"{name}.md"
        content = claude.memory_section(named) if appended else claude.agent_file(named, tools=tools)
    elif format == "jsonc":
        file, content = f"opencode-{name}.jsonc", _fragment(named, chosen)
    else:
        file, content = f"{name}.txt", body(named, chosen)
    return Exported(agent=name, format=format, mode=chosen, file_name=file, content=content)


def agent_setting(prompt: AgentPrompt) -> dict[str, Any]:
    """The value of `agent.NAME` in opencode.json."""
    setting: dict[str, Any] = {"description": prompt.description, "mode": "primary", "prompt": body(prompt).strip()}
    return setting | ({"model": prompt.model} if prompt.model else {})


def write(exported: Exported, directory: Path, provenance: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write the document and `NAME.meta.json` into `directory`; each appears whole or not at all.

    Raises:
        StoreUnwritable: the directory cannot be written.
    """
    document, side = directory / exported.file_name, directory / f"{exported.agent}.meta.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(document, exported.content.encode())
        write_whole(side, side_file(exported, provenance))
    except OSError as error:
        raise StoreUnwritable(f"{directory} cannot be written: {error.strerror or error}") from error
    return document, side


def side_file(exported: Exported, provenance: Mapping[str, Any]) -> bytes:
    """Where an exported document came from, as JSON. It stands beside the document and never in it: OpenCode sends
    what it does not know in the front matter to the provider."""
    told = {
        "agent": exported.agent, "format": exported.format, "mode": exported.mode, "sha256": exported.sha256,
        **provenance,
    }  # fmt: skip
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _fragment(prompt: AgentPrompt, mode: Mode) -> str:
    setting: dict[str, Any] = (
        {"agent": {prompt.name: agent_setting(prompt)}}
        if mode == "replace"
        else {"instructions": [f"strop/{prompt.name}.md"]}
    )
    about = "// Belongs into opencode.json or opencode.jsonc.\n"
    if mode == "append":
        about += f"// The file that it names is what `--format text --mode append` writes as {prompt.name}.txt.\n"
    return about + dumped(setting, indent="  ") + "\n"
