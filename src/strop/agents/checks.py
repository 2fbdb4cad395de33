"""Recognises commands that test, build or check a project, and what their exit code says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from strop.agents.shell import Command, parse, without_heredocs
from strop.agents.transcript import Step

CheckKind = Literal["test", "build", "lint"]
STRENGTH: tuple[CheckKind, ...] = ("test", "build", "lint")

COMMAND_TOOLS = frozenset({"bash", "shell", "exec_command", "local_shell", "run_command", "terminal", "execute"})
EDIT_TOOLS = frozenset({"edit", "write", "patch", "multiedit", "apply_patch", "notebookedit"})

_DIRECT: Mapping[str, CheckKind] = {
    **dict.fromkeys(
        ("pytest", "py.test", "tox", "nox", "nosetests", "jest", "vitest", "mocha", "ava", "phpunit", "pest", "rspec",
         "ctest", "unittest", "trial", "cypress", "minitest", "busted", "bats", "nextest", "karma", "stestr", "behave",
         "gotestsum"), "test",
    ),
    **dict.fromkeys(("tsc", "javac", "gcc", "g++", "clang", "ninja", "msbuild", "rustc", "webpack"), "build"),
    **dict.fromkeys(
        ("ruff", "eslint", "mypy", "pyright", "flake8", "pylint", "golangci-lint", "biome", "stylelint", "phpstan",
         "psalm", "rubocop", "shellcheck", "clippy", "basedpyright", "ty", "oxlint", "staticcheck"), "lint",
    ),
}  # fmt: skip
_WORDS: tuple[tuple[CheckKind, re.Pattern[str]], ...] = (
    ("test", re.compile(r"(?:.*[:_-])?(?:tests?|spec|e2e|unit|integration|verify|coverage|jest|vitest)(?:[:_-].*)?")),
    ("build", re.compile(r"(?:.*[:_-])?(?:build|compile|assemble|bundle|dist|all|package|install)(?:[:_-].*)?")),
    ("lint", re.compile(r"(?:.*[:_-])?(?:lint|check|checks|typecheck|types|clippy|vet|tsc|format-check)(?:[:_-].*)?")),
)
_TARGETED = {
    "npm", "yarn", "pnpm", "bun", "deno", "go", "cargo", "make", "gmake", "mvn", "mvnw", "gradle", "gradlew", "dotnet",
    "swift", "mix", "rake", "just", "task", "composer", "bazel", "zig", "sbt", "lein", "stack", "cabal", "flutter",
    "dart", "rails", "meson", "cmake", "hatch", "pdm", "turbo", "nx", "ng", "xcodebuild", "ant", "invoke", "node",
    "vite", "next", "cross",
}  # fmt: skip
_BARE_BUILDS = frozenset({"make", "gmake", "ninja", "just", "ant"})
_INSTALLERS = frozenset({"npm", "yarn", "pnpm", "bun", "composer", "pdm", "hatch", "mix", "flutter"})
_OWN_TEST: dict[str, dict[str, CheckKind]] = {
    "node": {"--test": "test"},
    "cmake": {"--build": "build"},
    "npm": {"t": "test", "tst": "test"},
    "cargo": {"t": "test", "b": "build", "c": "lint", "check": "build"},
    "go": {"vet": "lint", "install": "build"},
    "gradle": {"check": "test"},
    "gradlew": {"check": "test"},
    "make": {"check": "test"},
    "gmake": {"check": "test"},
}
_FALSE_FRIENDS = frozenset({"install", "add", "remove", "init", "new", "run-script-list", "ci", "update", "version"})
_PREFIXES = frozenset({"sudo", "time", "nice", "command", "exec", "env", "stdbuf", "xvfb-run", "nohup", "ionice"})
_RUNNERS = {
    "uv": {"run", "tool"}, "poetry": {"run"}, "pipenv": {"run"}, "pdm": {"run"}, "hatch": {"run"}, "rye": {"run"},
    "bundle": {"exec"}, "pnpm": {"exec", "dlx"}, "npm": {"exec"}, "yarn": {"exec", "dlx"}, "bun": {"x"},
    "conda": {"run"}, "composer": {"exec"}, "mise": {"exec", "x"},
}  # fmt: skip
_QUIET = frozenset({
    "cd", "export", "set", "source", ".", "echo", "printf", "true", ":", "pushd", "popd", "mkdir", "unset", "ulimit",
    "which", "pwd",
    "tail", "head", "cat", "tee", "awk", "less", "tr", "sort", "uniq", "wc",
    "sleep", "clear", "test", "[", "alias",
    "umask", "date", "nvm", "touch", "shopt", "local",
})  # fmt: skip
_SETUP = re.compile(r"(?:pip3?|uv|npm|yarn|pnpm|bun|poetry|bundle|composer|python3?|apt|apt-get|conda|go|cargo)\Z")
_SETTING_UP = frozenset({"install", "ci", "sync", "i", "venv", "download"})
_TASK_RUNNERS = frozenset({"npm", "yarn", "pnpm", "bun", "composer", "deno"})
_WITH_VALUE = frozenset({"-n", "-u", "-k", "-s", "--with", "--extra", "--group", "--python", "-p", "--directory"})
_SHELLS = frozenset({"bash", "sh", "zsh", "dash"})
_KEYWORDS = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_REDIRECT = re.compile(r"\d*(?:&>>?|>>?|<|>&|>\|)&?(.*)", re.DOTALL)
_WRITES = re.compile(
    r"\bsed\b[^|;&\n]*\s-\w*i|\bperl\b[^|;&\n]*\s-\w*i|\bapply_patch\b|\bpatch\s+-|\btee\s"
    r"|\bgit\s+(?:apply|checkout|restore|stash|reset|revert|merge|cherry-pick|pull|rebase|am)\b"
    r"|(?<![\d&>=-])>{1,2}(?![>&(])\s*(?!/dev/|/tmp/)(?![^\s;|&]*\.(?:txt|log|out|json|xml|md)\b)[\w.$~/\"'{]"
)
_PROSE = (".md", ".rst", ".txt", ".adoc", ".log")
_NOT_ABOUT_CODE = frozenset({124, 126, 127, 130, 137, 141, 143, -1, -2, -9, -15})
"""Timed out, not executable, not found, interrupted, killed: the check did not get to its end."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A command that tests, builds or lints, inside one step."""

    kind: CheckKind
    text: str
    visible: bool
    """The step's exit code is this command's when it is 0."""
    blamed: bool
    """A failure of the step is a failure of this command (or of what prepared it)."""


def command_of(step: Step) -> str | None:
    """The command line of a step that ran one."""
    if step.tool.lower() not in COMMAND_TOOLS:
        return None
    given = next((step.arguments[name] for name in ("command", "cmd", "script") if name in step.arguments), None)
    if isinstance(given, str):
        return given
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        return shlex.join(word for word in given if isinstance(word, str))
    return None


def edits(step: Step) -> bool:
    """Whether the step changed files that a test could depend on; prose does not count."""
    if step.status in {"denied", "invalid"}:
        return False
    if step.tool.lower() in EDIT_TOOLS:
        path = next((step.arguments[name] for name in ("filePath", "file_path", "path") if name in step.arguments), "")
        return step.status not in {"failed", "aborted"} and not str(path).lower().endswith(_PROSE)
    command = command_of(step)
    if command is None:
        return False
    return _WRITES.search(without_heredocs(command[:20_000])) is not None


def checks_in(command: str) -> tuple[Check, ...]:
    """The checks of a command line, in their order."""
    commands = parse(command)
    if len(commands) == 1 and (inner := _inner_script(commands[0].words)) is not None:
        return checks_in(inner)
    kinds: list[CheckKind | None] = [_kind(each.words) for each in commands]
    if not any(kinds):
        return ()
    chain = _last_chain(commands)
    pipefail = any("pipefail" in each.words for each in commands)
    found: list[Check] = []
    for index, each in enumerate(commands):
        kind = kinds[index]
        if kind is None:
            continue
        piped = each.last_in_pipe or pipefail
        visible = index in chain and piped and not each.background and _no_way_round(commands, chain)
        others = [commands[other] for other in chain if other != index and kinds[other] is None]
        blamed = visible and all(_harmless(other) for other in others)
        found.append(
            Check(kind=kind, text=shlex.join(_without_redirections(each.words))[:200], visible=visible, blamed=blamed)
        )
    return tuple(found)


def verdict(check: Check, exit_code: int | None) -> bool | None:
    """What the step's exit code says about this check; None where it says nothing."""
    if exit_code is None or not check.visible or exit_code in _NOT_ABOUT_CODE:
        return None
    if exit_code == 0:
        return True
    if "pytest" in check.text and exit_code in {4, 5}:
        return None  # wrong usage, no tests collected
    return False if check.blamed else None


def _last_chain(commands: Sequence[Command]) -> tuple[int, ...]:
    """Indexes of the commands whose exit codes decide the shell's: the last and-or list, all of them after `set -e`."""
    start = 0
    strict = False
    for index, each in enumerate(commands):
        if each.joined == ";" and not strict and (index == 0 or commands[index - 1].last_in_pipe):
            start = index
        if each.words[0] == "set" and any(re.fullmatch(r"-\w*e\w*", word) for word in each.words[1:]):
            strict = True
    return tuple(range(start, len(commands)))


def _no_way_round(commands: Sequence[Command], chain: Sequence[int]) -> bool:
    """False where the shell's own words turn the exit code round or hide it: `||`, `!`, `if`, a later `exit 0`."""
    words = [commands[index] for index in chain]
    if any(each.words[0] in {"!", "if", "while", "until", "for", "case"} for each in words):
        return False
    alternatives = [each for each in words if each.joined == "||"]
    return all(each.words[0] in {"exit", "return", "false"} and each.words[-1] != "0" for each in alternatives) and (
        words[-1].words[0] != "exit" or words[-1].joined == "||"
    )


def _harmless(command: Command) -> bool:
    words = _stripped(command.words)
    if not words or words[0] in _QUIET or not command.last_in_pipe:
        return True
    if command.joined == "||":
        return True
    name = _name(words[0])
    return bool(_SETUP.match(name)) and any(
        word in {"install", "ci", "sync", "i", "venv", "download"} for word in words
    )


def _kind(given: Sequence[str]) -> CheckKind | None:  # noqa: PLR0911 - a table of cases
    words = _stripped(given)
    while words and words[0] in _KEYWORDS:
        words = _stripped(words[1:])
    if not words:
        return None
    name = _name(words[0])
    if re.fullmatch(r"python[\d.]*|py|pypy3?|coverage", name):
        return _python_kind(words)
    if name in {"npx", "bunx", "pnpx", "uvx", "pipx"}:
        return _kind([word for word in words[1:] if not word.startswith("-")])
    if name in _DIRECT:
        return _direct_kind(name, words)
    if name in _TARGETED:
        return _targeted_kind(name, words[1:])
    if re.fullmatch(r"(?:run[_-]?)?tests?(?:\.(?:sh|bash|py|js))?|test[_-].*\.sh", name) and name != "test":
        return "test"
    return None


def _direct_kind(name: str, words: Sequence[str]) -> CheckKind | None:
    if "--version" in words or "--help" in words or "--collect-only" in words:
        return None
    if name == "ruff" and words[1:2] == ["format"] and "--check" not in words:
        return None
    return _DIRECT[name]


def _python_kind(words: Sequence[str]) -> CheckKind | None:
    rest = list(words[1:])
    if words[0] == "coverage" and rest[:1] == ["run"]:
        rest = rest[1:]
    if "-m" in rest:
        module = rest[rest.index("-m") + 1 :]
        if module[:1] == ["build"] or module[:1] == ["compileall"] or module[:1] == ["py_compile"]:
            return "build"
        if module and (module[0] == "django" or module[0] == "coverage"):
            return _kind(module)
        return _kind(module) if module and module[0] in _DIRECT else None
    script = next((word for word in rest if not word.startswith("-")), "")
    name = _name(script)
    if name == "manage.py" and "test" in rest:
        return "test"
    return "test" if re.fullmatch(r"(?:test_.*|.*_tests?|run_?tests?|tests?)\.py", name) else None


def _targeted_kind(name: str, arguments: Sequence[str]) -> CheckKind | None:
    if "--version" in arguments or "--help" in arguments or ("-n" in arguments and name in _BARE_BUILDS):
        return None
    own = _OWN_TEST.get(name, {})
    targets = [word for word in arguments if word in own or not word.startswith("-")]
    if name in _TASK_RUNNERS and targets[:1] in (
        ["run"],
        ["run-script"],
        ["task"],
    ):
        targets = targets[1:2]
    elif name in _TASK_RUNNERS | {"cargo", "go", "dotnet", "swift"}:
        targets = targets[:1]
    found: set[CheckKind] = set()
    for target in targets:
        if target in own:
            found.add(own[target])
        elif name == "node" or (target in _FALSE_FRIENDS and name in _INSTALLERS | {"go", "cargo", "dotnet"}):
            continue
        else:
            found.update(kind for kind, pattern in _WORDS if pattern.fullmatch(target))
    if not targets and name in _BARE_BUILDS:
        return "build"
    return next((kind for kind in STRENGTH if kind in found), None)


def _stripped(given: Sequence[str]) -> list[str]:
    """The words without assignments, redirections, wrappers (`sudo`, `timeout 60`) and runners (`uv run`, `npx`)."""
    words = _without_redirections(given)
    while words:
        name = _name(words[0])
        if _ASSIGNMENT.match(words[0]) or name in _PREFIXES:
            words = _past_options(words[1:])
        elif name == "timeout":
            words = _past_options(words[1:])[1:]
        elif name in _RUNNERS and len(words) > 2 and words[1] in _RUNNERS[name] and _runs_program(name, words[2:]):
            words = _past_options(words[2:])
        else:
            break
    return words


def _runs_program(name: str, rest: Sequence[str]) -> bool:
    """`uv run pytest` runs pytest; `hatch run test` runs a script of the project's own."""
    return name not in {"hatch", "pdm"} or _kind(_past_options(list(rest))) is not None


def _past_options(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        takes_value = words[0] in {
            "-n",
            "-u",
            "-k",
            "-s",
            "--with",
            "--extra",
            "--group",
            "--python",
            "-p",
            "--directory",
        }
        words = words[2:] if takes_value else words[1:]
    return words


def _without_redirections(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
            continue
        match = _REDIRECT.fullmatch(word)
        if match is None:
            kept.append(word)
        elif not match.group(1) and not word.endswith("&"):
            skip = True
    return kept


def _inner_script(words: Sequence[str]) -> str | None:
    """The script of `bash -lc 'script'`."""
    stripped = _stripped(words)
    if (
        len(stripped) >= 3
        and _name(stripped[0]) in {"bash", "sh", "zsh", "dash"}
        and re.fullmatch(r"-\w*c", stripped[1])
    ):
        return stripped[2]
    return None


def _name(word: str) -> str:
    name = PurePosixPath(word.replace("\\", "/")).name
    return name.removesuffix(".exe").removesuffix(".cmd").removesuffix(".bat")
