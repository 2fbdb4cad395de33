"""What the README and docs/sessions.md tell a reader to type is typed, offline, and what they promise of it holds."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from strop.cli.session_house import KEYS
from tests.cli.commands import Done, strop

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sessions.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8").split("## Many models, one budget")[1].split("\n## ")[0]
FORMS = ("html", "md", "json")


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of a page, in one language or in none."""
    parts = re.split(r"^```(.*)\n", text, flags=re.MULTILINE)
    return [body for word, body in zip(parts[1::4], parts[2::4], strict=True) if word == language]


def typed(block: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Done]:
    """Type every line of a block."""
    monkeypatch.chdir(directory)
    done: list[Done] = []
    for line in block.splitlines():
        command, *words = shlex.split(line, comments=True)
        if command == "cd":
            monkeypatch.chdir(*words)
        else:
            assert Path(command).name == "strop", line
            done.append(strop(*words))
    return done


@pytest.fixture(scope="module")
def patch() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name in ["STROP_DATABASE_URL", "STROP_COMMAND", *(name for names in KEYS.values() for name in names)]:
            patch.delenv(name, raising=False)
        yield patch


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> tuple[Path, Done]:
    """The directory of the page's story after it, and what its last command printed."""
    (block,) = [one for one in blocks(PAGE) if one.startswith("strop init ")]
    directory = tmp_path_factory.mktemp("story")
    made, trained = typed(block, directory, patch)
    assert made.code == 0, made.err
    return directory / "p", trained


def skeleton(text: str) -> list[str]:
    """The lines that no figure and no chance can change, without what is special to a session."""
    fixed = re.compile(
        r"^(phase: .*|Rank +Model .*|The cheapest model that .*|Embedded models are .*|Report: .*|Look: .*)$",
        re.MULTILINE,
    )
    return [" ".join(re.sub(r"s[a-z0-9]{7}\b|\S*/", "", line).split()) for line in fixed.findall(text)]


def test_the_story_ends_as_the_page_says(story: tuple[Path, Done]) -> None:
    directory, done = story
    assert done.code == 0, done.err
    shown = PAGE.split("<!-- session -->")[1].split("<!-- /session -->")[0]
    shown = re.sub(r"^ +[\d.]+s  (phase: )", r"\1", shown, flags=re.MULTILINE)
    told = re.sub(r"^ +[\d.]+s  (phase: )", r"\1", done.err, flags=re.MULTILINE) + done.out
    assert len(skeleton(shown)) == 5 + 1 + 1 + 1 + 3 + 1
    assert skeleton(told) == skeleton(shown)
    for form in FORMS:
        assert f"dspy-training-report.{form}" in done.out
        assert (directory / f"dspy-training-report.{form}").stat().st_size > 1000


def test_the_readme_s_two_lines_train_and_say_what_follows(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    (block,) = blocks(README)
    made, trained = typed(block, tmp_path, patch)
    assert (made.code, trained.code) == (0, 0), made.err + trained.err
    assert re.search(r"^(Take|If one must be taken now, take) (small|medium|large)\b", trained.out, re.MULTILINE)
    assert re.search(r"^The cheapest model that is not worse than the best by more than 2 points: ", trained.out, re.M)
    for form in FORMS:
        assert (tmp_path / "which-model" / f"dspy-training-report.{form}").exists()
    assert not list(tmp_path.glob("dspy*"))


def test_the_python_block_prints_the_lines_that_the_page_shows(
    story: tuple[Path, Done], patch: pytest.MonkeyPatch
) -> None:
    patch.chdir(story[0])
    source, said = blocks(PAGE, "python")[0], io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(source, "docs/sessions.md", "exec"), {"__name__": "page"})
    lines = said.getvalue().splitlines()
    assert "a model of embedded needs no further round" in lines
    assert [line for line in lines if line.startswith(("Take ", "If one must be taken now, take "))]
    assert [line for line in lines if line.startswith("The cheapest model that is not worse")]
    assert re.fullmatch(r"\$[012]\.\d\d of \$2\.00", lines[-1])
    shown = blocks(PAGE)[[one.startswith("a model of embedded") for one in blocks(PAGE)].index(True)]
    assert re.fullmatch(r"\$[012]\.\d\d of \$2\.00", shown.splitlines()[-1])


def test_every_command_of_the_overview_is_there() -> None:
    verbs = set(re.findall(r"^strop sessions (\w+) ", blocks(PAGE)[0], re.MULTILINE))
    verbs |= set(re.findall(r"[;,] (show|report|resume): ", blocks(PAGE)[0]))
    assert verbs == {"plan", "train", "list", "show", "report", "cancel", "resume", "presets", "models"}
    for verb in verbs:
        assert strop("sessions", verb, "--help").code == 0


def test_the_plan_has_the_columns_that_the_page_shows(story: tuple[Path, Done], patch: pytest.MonkeyPatch) -> None:
    patch.chdir(story[0])
    done = strop("sessions", "plan", "-m", "small,medium,large", "-b", 1)
    (shown,) = [one for one in blocks(PAGE) if one.startswith("Model ")]
    assert done.out.splitlines()[0].split() == shown.splitlines()[0].split()
    assert shown.splitlines()[-1].partition("; ")[2] == "budget $1.00, which is never exceeded."
    assert shown.splitlines()[-1].partition("; ")[2] in done.out


def listed(command: str) -> list[set[str]]:
    """The keys that the page's JSON table names for a command, a set for each part between semicolons."""
    table = PAGE.split("\n## JSON\n")[1].split("\n## ")[0]
    (cell,) = [
        row.split(" | ")[1]
        for row in table.splitlines()
        if row.startswith("| ") and f"`{command}`" in row.split(" | ")[0]
    ]
    return [set(re.findall(r"`([a-z_-]+)`", part)) for part in cell.split(";")]


def test_json_has_the_keys_that_the_page_lists(
    story: tuple[Path, Done], tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    patch.chdir(story[0])
    shown = strop("sessions", "show", "--json").json
    assert set(shown) == listed("show")[0]
    again = strop("sessions", "resume", "--json", "-q", "-o", tmp_path / "r.md").json
    assert set(again) == {*shown, "report"}
    assert set(again["report"]) == {"html", "markdown", "json"}
    assert set(strop("sessions", "list", "--json").json[0]) == listed("list")[0]
    assert set(strop("sessions", "report", "--json").json) == listed("report")[0]
    plan = strop("sessions", "plan", "--json").json
    assert [set(plan), set(plan["models"][0])] == listed("plan")
    assert set(strop("sessions", "models", "--json").json[0]) == listed("models")[0]
    assert set(strop("sessions", "presets", "--json").json) == listed("presets")[0]
    error = strop("sessions", "show", "nonsuch", "--json").json["error"]
    assert set(error) | {"error"} == {"error", "kind", "message", "hint", "exit_code"}
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["format"], report["decision"]) == ("strop.session/1", again["decision"])
    assert set(report) == {"format", "session_id", "generated", "decision", "comparison", "measures", "session"}
    for key in ("recommended", "basis", "proven", "sentence", "non_inferiority", "comparison"):
        assert f"`{key}`" in PAGE
        assert key in again["decision"]


def test_a_refusal_is_what_the_page_shows(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(tmp_path)
    done = strop("sessions", "train", "-p", "Name a colour", "-m", "small", "--constraint", "smells:nice", "-q")
    (shown,) = [one for one in blocks(PAGE) if one.startswith("error: ")]
    assert done.code == 2
    assert done.err.split() == shown.split()
