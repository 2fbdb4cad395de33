"""Takes a shell command apart far enough to say whose exit code the shell reports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_COMMAND = 20_000
"""Characters read of one command: longer ones are files being written."""

_HEREDOC = re.compile(r"(?<!<)<<(?!<)(-?)[ \t]*([\"']?)([A-Za-z_][\w.-]*)\2")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\\\r?\n)
    |(?P<comment>(?<![^\s;&|(])\#[^\n]*)
    |(?P<operator>\|\||&&|;;|\|&|[;|\n()]|&(?![>&])|[{}](?=\s|;|$))
    |(?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`|&>|>&|<\(|\$\{[^}]*\}|[^\s;|&()'"`\\#]|\#|["'`\\$])+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTES = re.compile(r"'([^']*)'|\"((?:\\.|[^\"\\])*)\"|\\(.)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One simple command. `words` are unquoted."""

    words: tuple[str, ...]
    last_in_pipe: bool = True
    """Its exit code is its pipeline's."""
    joined: str = ";"
    """What stands before its pipeline: `;` (also the beginning and a new line), `&&` or `||`."""
    background: bool = False


@dataclass(kw_only=True)
class _Reading:
    commands: list[Command] = field(default_factory=list[Command])
    words: list[str] = field(default_factory=list[str])
    joined: str = ";"

    def end(self, operator: str) -> None:
        if self.words:
            self.commands.append(
                Command(
                    words=tuple(self.words),
                    last_in_pipe=operator not in {"|", "|&"},
                    joined=self.joined,
                    background=operator == "&",
                )
            )
            self.words = []
        elif operator in {"\n", "(", ")", "{", "}"}:
            return
        if operator in {"&&", "||"}:
            self.joined = operator
        elif operator not in {"|", "|&", "(", ")", "{", "}"}:
            self.joined = ";"


def parse(text: str) -> tuple[Command, ...]:
    """The simple commands in their order. Groups lose their brackets, here-documents their bodies."""
    reading = _Reading()
    for match in _TOKEN.finditer(without_heredocs(text[:MAX_COMMAND])):
        if match.lastgroup == "operator":
            reading.end(match.group())
        elif match.lastgroup == "word":
            reading.words.append(unquoted(match.group()))
    reading.end("\n")
    return tuple(reading.commands)


def unquoted(word: str) -> str:
    """The word as the program gets it; variables stay as they are written."""
    return _QUOTES.sub(lambda match: next((group for group in match.groups() if group is not None), ""), word)


def without_heredocs(text: str) -> str:
    """The command without what it writes down: here-document bodies are data."""
    if "<<" not in text:
        return text
    kept: list[str] = []
    ends: list[tuple[str, bool]] = []
    for line in text.split("\n"):
        if ends:
            word, tabs = ends[0]
            if (line.lstrip("\t") if tabs else line).rstrip("\r") == word:
                ends.pop(0)
            continue
        ends.extend((match.group(3), match.group(1) == "-") for match in _HEREDOC.finditer(line))
        kept.append(line)
    return "\n".join(kept)
