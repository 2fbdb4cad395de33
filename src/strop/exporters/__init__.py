"""A program's prompt as a file that another tool reads: agent files, sections of AGENTS.md, settings, plain text."""

from strop.exporters.agents_md import marked, put, take_out
from strop.exporters.claude import problems as claude_problems
from strop.exporters.claude import without_imports
from strop.exporters.files import FORMATS, Exported, Format, agent_setting, export, side_file, write
from strop.exporters.jsonc import add_item, dumped, edit, get, load, remove
from strop.exporters.naming import plain_slug, slug
from strop.exporters.opencode_agent import OWN_AGENTS, split_front_matter
from strop.exporters.opencode_agent import problems as opencode_problems
from strop.exporters.prompt import AgentPrompt, Demo, Field, Stage, prompt_of, text_of
from strop.exporters.text import Mode, body, heading, label
from strop.exporters.writing import write_whole

__all__ = [
    "FORMATS",
    "OWN_AGENTS",
    "AgentPrompt",
    "Demo",
    "Exported",
    "Field",
    "Format",
    "Mode",
    "Stage",
    "add_item",
    "agent_setting",
    "body",
    "claude_problems",
    "dumped",
    "edit",
    "export",
    "get",
    "heading",
    "label",
    "load",
    "marked",
    "opencode_problems",
    "plain_slug",
    "prompt_of",
    "put",
    "remove",
    "side_file",
    "slug",
    "split_front_matter",
    "take_out",
    "text_of",
    "without_imports",
    "write",
    "write_whole",
]
