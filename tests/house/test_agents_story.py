"""A coding agent's history sharpens its prompt, all of it offline: from real logs to an installed prompt and back."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strop.agents import Parity, need_config, winner
from strop.agents.parity import Trial, check_parity
from strop.agents.training import task_of
from strop.app import House
from strop.exporters import FORMATS, claude_problems, load, opencode_problems
from strop.gateway import Account
from tests.cli.commands import Done, strop

LOGS = Path(__file__).parents[1] / "agents" / "logs"
PLAN = re.compile(r"\*\*Plan:\*\* .*\bread\(\S+\); ")
ELSEWHERE = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "OPENCODE_CONFIG", "OPENCODE_CONFIG_DIR",
             "CLAUDE_CONFIG_DIR", "CODEX_HOME", "STROP_DATABASE_URL")  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of its own, so that no real client's files are read or written."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in ELSEWHERE:
            patch.delenv(name, raising=False)
        yield home


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """The example's logs and everybody's real ones, prepared and trained on; nobody changes it."""
    project = tmp_path_factory.mktemp("story") / "project"
    assert strop("init", project, "--example", "opencode").code == 0
    read = on(project, "import", LOGS, "--json")
    assert read.code == 0, read.err
    assert read.json["added"]["new"] >= 20
    made = on(project, "prepare", "--json")
    assert made.code == 0, made.err
    assert (made.json["sessions"], made.json["found"]) == (28 + read.json["added"]["new"],
                                                           112 + read.json["added"]["turns_new"])  # fmt: skip
    done = on(project, "train", "--optimizer", "BootstrapFewShot", "--quiet", "--json")
    assert done.code == 0, done.err
    (trained,) = done.json
    assert (trained["run"]["verdict"], trained["error"]) == ("IMPROVED", None)
    return project


@pytest.fixture
def fresh(tmp_path: Path, home: Path) -> Path:
    """The example project as `strop init` writes it."""
    assert home.is_dir()
    assert strop("init", tmp_path, "--example", "opencode").code == 0
    return tmp_path


def on(project: Path, *argv: object) -> Done:
    return strop("agents", *argv, "-C", project)


def whole(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_every_format_is_exported(project: Path, tmp_path: Path) -> None:
    modes = {"opencode": ["replace"], "agents-md": ["append"]}
    for fmt in FORMATS:
        for mode in modes.get(fmt, ["replace", "append"]):
            folder = tmp_path / fmt / mode
            done = on(project, "export", "--format", fmt, "--mode", mode, "--output", folder, "--json")
            assert done.code == 0, done.err
            text = Path(done.json["path"]).read_text(encoding="utf-8")
            side = json.loads(Path(done.json["provenance"]).read_text(encoding="utf-8"))
            assert (side["program"], side["format"]) == ("coding-agent-embedded-small", fmt)
            if (fmt, mode) == ("jsonc", "append"):
                assert load(text) == {"instructions": ["strop/small-optimized.md"]}
                continue
            prompt = load(text)["agent"]["small-optimized"]["prompt"] if fmt == "jsonc" else text
            assert len(PLAN.findall(prompt)) >= 10, (fmt, mode)
            assert "carry it out, by calling your own tools" in prompt
    assert opencode_problems((tmp_path / "opencode/replace/small-optimized.md").read_text(encoding="utf-8")) == ()
    assert claude_problems((tmp_path / "claude/replace/small-optimized.md").read_text(encoding="utf-8")) == ()


@pytest.mark.parametrize(
    ("client", "mine", "prompt"),
    [
        ("opencode", {".config/opencode/opencode.jsonc": '{\n  // mine\n  "autoupdate": false,\n}\n'},
         ".config/opencode/agent/small-optimized.md"),
        ("claude-code", {".claude/CLAUDE.md": "# Mine\r\n\r\nBe kind.\r\n"}, ".claude/agents/small-optimized.md"),
        ("codex", {".codex/AGENTS.md": "Be kind."}, ".codex/AGENTS.md"),
    ],
)  # fmt: skip
def test_it_is_measured_installed_and_taken_away(
    project: Path, home: Path, client: str, mine: dict[str, str], prompt: str
) -> None:
    for name, text in mine.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(text.encode())
    before = whole(home)
    put = on(project, "install", "--client", client, *(["--default"] if client == "opencode" else []))
    assert put.code == 0, put.out + put.err
    assert re.search(r"the exported text scores \d+\.\d% where the program scores \d+\.\d%", put.err)
    installed = (home / prompt).read_text(encoding="utf-8")
    assert len(PLAN.findall(installed)) >= 10
    for name, text in mine.items():
        assert all(line in (home / name).read_bytes().decode() for line in text.splitlines())
    assert strop("agents", "uninstall", "--client", client).code == 0
    assert whole(home) == before
    for name in mine:
        (home / name).unlink()


def parity(project: Path, *, cut: bool) -> Parity:
    """Of the trained program, or of an export that lost its examples."""
    file = need_config(project)
    with House.at(project) as house:
        one = winner(file, house)
        plan = house.plan(task_of(file, one.target), file.directory)
        stages = tuple(replace(stage, demos=()) if cut else stage for stage in one.prompt.stages)
        trial = Trial(
            examples=plan.split.dev.examples, metric=plan.metric, gateway=house.gateway,
            account=Account(scope="story"), model=plan.models["task"],
        )  # fmt: skip
        state = house.registry.state(one.version)
        return check_parity(replace(one.prompt, stages=stages), one.version.spec, state, trial)


def test_parity_tells_a_faithful_export_from_one_without_its_examples(project: Path) -> None:
    faithful, cut = parity(project, cut=False), parity(project, cut=True)
    assert (faithful.unanswered, cut.unanswered) == (0, 0)
    assert faithful.program == cut.program > 0.3
    assert abs(faithful.change) < 0.03
    assert faithful.passes
    assert cut.exported < 0.1
    assert (cut.passes, cut.verdict) == (False, "WORSE")


def no_logs(project: Path) -> None:
    for log in project.glob("data/raw/*.json"):
        log.unlink()


def none_worked(project: Path) -> None:
    for log in project.glob("data/raw/*.json"):
        text = log.read_text(encoding="utf-8").replace('"success": true', '"success": false')
        log.write_text(text.replace('"taskCompleted": true', '"taskCompleted": false'), encoding="utf-8")


def too_few(project: Path) -> None:
    for log in sorted(project.glob("data/raw/*.json"))[2:]:
        log.unlink()


def another_format(project: Path) -> None:
    no_logs(project)
    (project / "data/raw/odd.json").write_text('{"session": "s", "examples": [{"input": {"task": 7}}]}')


def nothing_said(project: Path) -> None:
    no_logs(project)
    example = {"input": {"task": "Do it"}, "actions": [], "output": {"response": ""}, "outcome": {"success": True}}
    (project / "data/raw/mute.json").write_text(json.dumps({"session": "s", "examples": [example]}))


def one_session(project: Path) -> None:
    logs = sorted(project.glob("data/raw/*.json"))
    data = json.loads(logs[0].read_text(encoding="utf-8"))
    data["examples"] = [one for log in logs for one in json.loads(log.read_text(encoding="utf-8"))["examples"]]
    no_logs(project)
    logs[0].write_text(json.dumps(data), encoding="utf-8")


def no_key(project: Path) -> None:
    file = project / "config.yaml"
    teacher = 'provider: "anthropic"\n    model: "claude-sonnet-4-5"\n    api_key_env: "STORY_API_KEY"'
    text = file.read_text(encoding="utf-8").replace('provider: "embedded"\n    model: "large"', teacher)
    file.write_text(text, encoding="utf-8")


def no_package(project: Path) -> None:
    (project / "scores.py").write_text("import no_such_package\n\ndef score(example, prediction, trace=None): ...\n")
    file = project / "config.yaml"
    text = file.read_text(encoding="utf-8").replace('# metric: "my_metrics:score"', 'metric: "scores:score"')
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (no_logs, ["No session logs found in", "data/raw"]),
        (none_worked, ["No successful sessions found", "require_success: false"]),
        (too_few, ["examples found, need at least 10", "min_examples"]),
        (another_format, ["Failed to convert any examples", "odd.json", "input.task"]),
        (nothing_said, ["Failed to convert any examples", "of 1 none has a task"]),
        (one_session, ["Failed to create train/validation split", "one session"]),
        (no_key, ["STORY_API_KEY is not set", ".env", "api_key_env"]),
        (no_package, ["No module named 'no_such_package'", "install the package"]),
    ],
)
def test_each_cause_has_the_documents_message(fresh: Path, cause: Any, told: list[str]) -> None:
    cause(fresh)
    done = on(fresh, "train", "--quiet")
    assert done.code == 2, done.out
    for words in told:
        assert words in done.err
    assert "Traceback" not in done.err
    assert not list(fresh.glob("outputs/prompts/*"))


def test_a_key_in_env_is_found(fresh: Path) -> None:
    no_key(fresh)
    shutil.copy(fresh / ".env.example", fresh / ".env")
    with (fresh / ".env").open("a") as env:
        env.write("STORY_API_KEY=not-a-real-one\n")
    done = on(fresh, "train", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert "not-a-real-one" not in done.out + done.err


# What chance may change: which calls were asked ahead, and so the cost of the search.
FIGURES = re.compile(
    r"^(?:Read .*|New: .*|Sessions: .*|Successful .*|Examples: .*|Split: .*"
    r"| +(?:succeeded .*|baseline .*|.* p = .*|Verdict: .*|[123]\. .*))$",
    re.MULTILINE,
)


@pytest.mark.slow
def test_the_page_shows_what_a_run_says(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
    expected = FIGURES.findall(page.split("<!-- story -->")[1].split("<!-- /story -->")[0])
    monkeypatch.chdir(fresh)
    done = on(fresh, "train", "--quiet")
    assert done.code == 0, done.err
    assert len(expected) == 13
    assert FIGURES.findall(done.out) == expected
    measured = on(fresh, "install", "--target", "embedded/small", "--dry-run")
    (sentence,) = re.findall(r"^the exported text scores .*$", measured.err, re.MULTILINE)
    assert sentence in page
