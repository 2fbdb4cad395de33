"""`strop sessions`: the documented flags and defaults, what is printed where, exit codes, stopping and going on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from strop.cli.session_house import KEYS, Work, chosen, config_of, model_of
from strop.errors import SettingsError
from tests.cli.commands import small_task, strop

FAST = ("-m", "small,medium", "-r", 1, "-s", 12)
PHASES = ["baseline", "optimization", "cross learning", "benchmark", "report"]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in KEYS.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task's directory with one finished session, started with --json."""
    directory = small_task(tmp_path_factory.mktemp("trained"))
    done = strop("sessions", "train", "--task", directory, *FAST, "-o", directory / "r.md", "--json", "--quiet")
    assert done.code == 0, done.err
    (directory / "out.json").write_text(done.out)
    assert done.err == ""
    return directory


def test_with_json_stdout_is_the_result_and_the_documented_defaults_hold(trained: Path) -> None:
    found = json.loads((trained / "out.json").read_text())
    assert found["status"] == "completed"
    assert found["budget_usd"] == 10.0
    assert found["config"]["benchmark_samples"] == 12
    assert found["config"]["optimization_rounds"] == 1
    assert {"convergence_threshold", "baseline_iterations", "enable_cross_learning"}.isdisjoint(found["config"])
    assert [one["name"] for one in found["models"]] == ["small", "medium"]
    for one in found["models"]:
        phases = [step["phase"] for step in one["iterations"]]
        assert (phases.count("baseline"), phases.count("benchmark")) == (3, 12)
    assert 0 < found["total_cost_usd"] <= 10
    for kind, path in found["report"].items():
        assert Path(path).stat().st_size > 1000
        assert path == str(trained / f"r.{'md' if kind == 'markdown' else kind}")


def test_the_bare_noun_lists_and_the_session_can_be_shown_again(trained: Path) -> None:
    found = json.loads((trained / "out.json").read_text())
    (row,) = strop("sessions", "-C", trained, "--json").json
    assert (row["id"], row["status"], row["models"]) == (found["session_id"], "completed", ["small", "medium"])
    assert row["best_model"] == found["best_model"]
    listed = strop("sessions", "list", "-C", trained)
    assert found["session_id"] in listed.out
    again = strop("sessions", "show", found["session_id"][:4], "-C", trained, "--json").json
    assert again == {key: value for key, value in found.items() if key != "report"}
    shown = strop("sessions", "show", "-C", trained).out
    assert re.search(r"Rank +Model +Ended", shown)
    for one in found["models"]:
        assert f"{100 * sum(one['best_test']['scores']) / 12:.1f}%" in shown
    assert "not worse than the best" in shown
    assert "Embedded models are for trials" in shown


def test_the_report_is_written_again(trained: Path, tmp_path: Path) -> None:
    done = strop("sessions", "report", "-C", trained, "-o", tmp_path / "again.html")
    assert done.out.split() == [str(tmp_path / f"again.{kind}") for kind in ("html", "md", "json")]
    assert "small" in (tmp_path / "again.md").read_text()
    usual = strop("sessions", "report", "last", "-C", trained, "--json").json["report"]["html"]
    assert Path(usual).parent == trained / ".strop" / "reports"


def test_reports_lie_in_the_session_s_directory_and_no_other_session_s_are_lost(tmp_path: Path) -> None:
    task = small_task(tmp_path / "t")
    asked = ("sessions", "train", "-C", task, "-m", "small", "-r", 0, "-s", 2, "-q", "--json")
    first, report = strop(*asked), task / "dspy-training-report.json"
    assert first.json["report"]["json"] == str(report)
    again = strop("sessions", "resume", "last", "-C", task, "-q", "--json")
    assert (again.json["report"], again.err) == (first.json["report"], "")
    second = strop(*asked)
    kept = task / f"dspy-training-report-{first.json['session_id']}.json"
    assert json.loads(kept.read_text())["session_id"] == first.json["session_id"]
    assert json.loads(report.read_text())["session_id"] == second.json["session_id"]
    assert f"is kept as {kept.with_suffix('.html')}, .md, .json" in second.err
    (tmp_path / "mine.json").write_text("{}")
    refused = strop(*asked, "-o", tmp_path / "mine.md")
    assert (refused.code, (tmp_path / "mine.json").read_text()) == (2, "{}")
    assert "is no report of a session" in refused.json["error"]["message"]
    assert len(strop("sessions", "-C", task, "--json").json) == 2


def test_a_prompt_is_trained_with_lines_on_stderr_when_piped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("signature.yaml").write_text("input: a red kettle\noutput: a description\nconstraints: ['min_length:5']\n")
    done = strop(
        "sessions", "train", "-p", "Write a product description", "--signature", "signature.yaml",
        "--constraint", "contains:kettle", *FAST, "--verbose",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert re.findall(r"^ *[\d.]+s  phase: (.+)$", done.err, re.M) == PHASES
    assert re.search(r"s  small: round 1: 0\.\d+ on \d+", done.err)
    assert "hook results: done: swarm/training/dspy-results" in done.err
    assert "\x1b" not in done.err + done.out
    assert Path("dspy-training-report.md").read_text().startswith("#")
    kept = json.loads(Path(".strop/hooks/swarm/training/dspy-results.json").read_text())
    assert set(kept["value"]) == {"bestModel", "comparison", "totalCost", "timestamp"}
    found = strop("sessions", "show", "--json").json
    assert "the output must contain 'kettle'" in found["task"]["instructions"]
    assert "at least 5" not in found["task"]["instructions"]


def test_a_constraint_in_plain_words_is_put_to_the_judge_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("sessions", "train", "-p", "Name a colour", "--constraint", "names one colour", "-m", "small", "-q")
    refused = strop(*asked, "--json")
    assert refused.code == 2
    assert "constraint 'names one colour' is not understood" in refused.json["error"]["message"]
    assert "--judge MODEL" in refused.json["error"]["hint"]
    done = strop(*asked, "-r", 0, "-s", 2, "--judge", "large", "--disable-hooks")
    assert done.code == 0, done.err
    assert re.search(r"Cost: \S+ of \$10\.00, \$0\.\d+ of it for the judge embedded/large", done.out)
    found = strop("sessions", "show", "--json").json
    assert found["judge"]["model"] == "embedded/large"
    assert found["judge"]["rules"] == ["names one colour"]
    assert found["judge"]["spending"]["calls"] >= 1
    assert "Rule: names one colour." in found["task"]["instructions"]


def test_hooks_can_be_named_and_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write = f"complete={sys.executable} -c \"import sys; open('told', 'a').write(sys.argv[1])\" {{session_id}}"
    asked = ("sessions", "train", "-p", "Name a colour", "-m", "small", "-r", 0, "-s", 2, "-q")
    assert strop(*asked, "--hook", write).code == 0
    assert Path("told").read_text() == strop("sessions", "--json").json[0]["id"]
    Path(".strop/hooks/swarm/training/dspy-results.json").unlink()
    assert strop(*asked, "--disable-hooks").code == 0
    assert not Path(".strop/hooks/swarm/training/dspy-results.json").exists()
    assert len(Path("told").read_text()) == 8


def test_presets_are_the_documented_ones() -> None:
    found = strop("sessions", "presets", "--json").json
    assert found["quality-focused"] == {
        "optimization_rounds": 15, "convergence_threshold": 0.98, "benchmark_samples": 100, "baseline_iterations": 5,
        "temperature": 0.3, "cost_budget": 10.0,
    }  # fmt: skip
    cost = found["cost-optimized"]
    assert (cost["optimization_rounds"], cost["baseline_iterations"], cost["benchmark_samples"]) == (3, 2, 20)
    assert "0.98" in strop("sessions", "presets").out


def test_models_are_listed_with_prices_and_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza-canary-canary-canary")
    rows = {row["name"]: row for row in strop("sessions", "models", "-C", tmp_path, "--json").json}
    assert list(rows)[:4] == ["claude", "gpt4", "llama", "gemini"]
    assert rows["claude"]["model"] == "anthropic/claude-sonnet-4-5"
    assert (rows["claude"]["input"], rows["claude"]["output"]) == (3.0, 15.0)
    assert [name for name, row in rows.items() if row["ready"]] == ["gemini", "small", "medium", "large"]
    assert rows["gpt4"]["key"] == "OPENAI_API_KEY is not set"
    assert "canary" not in strop("sessions", "models", "-C", tmp_path).out


def test_without_models_the_guides_two_are_taken_only_with_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() == ["small", "large"]
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    assert chosen() == ["small", "large"]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    assert chosen() == ["gemini", "claude"]
    assert model_of("groq/llama-3.3-70b-versatile") == "groq/llama-3.3-70b-versatile"
    assert model_of("gpt-4o-mini") == "openai/gpt-4o-mini"
    with pytest.raises(SettingsError, match="nonsuch"):
        model_of("nonsuch")


def test_plan_predicts_each_models_iterations_and_leaves_nothing_behind(tmp_path: Path) -> None:
    task = small_task(tmp_path / "t")
    before = sorted(path.name for path in task.iterdir())
    asked = ("sessions", "plan", "--task", task, "-m", "claude,gpt4,gemini,llama")
    found = strop(*asked, "--budget", 5, "--json").json
    assert found["models"][0]["model"] == "anthropic/claude-sonnet-4-5"
    assert all(one["iterations"] > 0 and one["cost_usd"] > 0 for one in found["models"])
    assert found["budget_usd"] == 5
    assert found["cost_usd"] == pytest.approx(sum(one["cost_usd"] for one in found["models"]))
    double = strop(*asked, "--budget", 10, "--json").json
    for one, other in zip(found["models"], double["models"], strict=True):
        assert other["budget_iterations"] == pytest.approx(2 * one["budget_iterations"], abs=1)
    assert "$5.00, which is never exceeded" in strop(*asked, "--budget", 5).out
    nothing = strop(*asked, "-b", 0, "--json").json
    assert (nothing["cost_usd"], nothing["enough"]) == (0, False)
    assert [one["iterations"] for one in nothing["models"]] == [0, 0, 0, 0]
    assert sorted(path.name for path in task.iterdir()) == before


def test_a_preset_s_temperature_is_not_set_for_models_that_have_only_their_own(tmp_path: Path) -> None:
    work = Work(prompt="x", directory=tmp_path)
    own, usual = config_of(work, "gpt-5-mini,gpt-4o-mini", "quality-focused", {}, keys=False).models
    assert {"temperature", "max_tokens"}.isdisjoint(own.model_fields_set)
    assert usual.temperature == 0.3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-p", "x", "-m", "gemini,claude"), "gemini needs GEMINI_API_KEY, claude needs ANTHROPIC_API_KEY"),
        (("-p", "x", "-m", "nonsuch"), "there is no model 'nonsuch'"),
        (("-p", "x", "-m", ","), "names no model"),
        (("-p", "x", "--quality-focused", "--cost-optimized"), "exclude each other"),
        (("-p", "x", "--task", "."), "--prompt and --task exclude each other"),
        (("-p", "x", "-o", "report.pdf"), "'.pdf'"),
        (("-p", "x", "--constraint", "nonsense"), "nonsense"),
        (("-p", "x", "--constraint", "max-length: 5", "--judge", "small"), "'max-length: 5' is not understood"),
        (("-p", "x", "--constraint", "be kind", "-m", "small", "--judge", "gpt4"), "gpt4 needs OPENAI_API_KEY"),
        (("-p", "x", "--constraint", "be kind", "--judge", "nonsuch"), "there is no model 'nonsuch'"),
        (("--task", ".", "--judge", "small"), "--judge is for the constraints of a prompt"),
        (("-p", "x", "--signature", "nowhere.yaml"), "nowhere.yaml"),
        (("-p", "x", "-c", "2"), "--convergence"),
        (("-p", "x", "-b", "-1"), "--budget"),
        (("-p", "x", "-m", "small", "--algorithm", "nonsuch"), "there is no algorithm 'nonsuch'"),
        (("--input", "x", "-m", "small"), "--input is for a session by --prompt"),
        (("--constraint", "contains:x", "--task", "."), "--constraint is for a session by --prompt"),
        (("-p", "x", "--hook", "nonsuch=say hi"), "nonsuch"),
        (("-p", "x", "-m", "small", "--hook", "say hi", "--disable-hooks"), "--disable-hooks turns all of them off"),
        (("-p", "x", "-m", "small", "-o", "notes.txt/below/r.md"), "no report can be written to"),
        (("-p", "  "), "the prompt is empty"),
        ((), "there is nothing to train on"),
        (("--task", "nowhere.yaml"), "nowhere.yaml"),
        (("--resume", "last", "-r", "9"), "--rounds cannot be changed"),
        (("--resume", "last", "-p", "x"), "--prompt cannot be changed"),
        (("--resume", "last", "--judge", "small"), "--judge cannot be changed"),
    ],
)
def test_what_cannot_be_used_is_refused_with_exit_2(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("a file, and no directory")
    where = ("-C", trained) if "--resume" in words else ()
    done = strop("sessions", "train", *words, *where, "--json", "-q")
    assert done.code == 2, done.out
    assert told in done.json["error"]["message"]
    assert not list(tmp_path.glob("*.md"))
    assert "--resume" in words or strop("sessions", "-C", tmp_path, "--json").json == []


@pytest.mark.parametrize("verb", ["show", "report", "resume", "cancel"])
def test_a_session_that_does_not_exist(verb: str, tmp_path: Path) -> None:
    done = strop("sessions", verb, "nonsuch", "-C", tmp_path)
    assert done.code == 2
    assert "there is no session 'nonsuch'" in done.err


def test_too_little_money_is_exit_4_and_the_session_goes_on_with_more(tmp_path: Path) -> None:
    task, report = small_task(tmp_path / "t"), tmp_path / "r.md"
    done = strop("sessions", "train", "--task", task, "-m", "small,large", "-r", 1, "-b", 0.02, "-o", report, "-q")
    assert done.code == 4, done.err
    assert report.exists()
    (row,) = strop("sessions", "-C", task, "--json").json
    assert 0 < row["usd"] <= 0.02
    assert f"sessions resume {row['id']} -C {task} --budget USD" in done.out
    refused = strop("sessions", "resume", row["id"], "-C", task, "-b", 0.001, "-o", report, "-q", "--json")
    assert (refused.code, strop("sessions", "-C", task, "--json").json) == (2, [row])
    assert "spent already, more than a budget of $0.001" in refused.json["error"]["message"]
    again = strop("sessions", "resume", row["id"], "-C", task, "-b", 2, "-o", report, "--json", "-q")
    assert again.code == 0, again.err
    assert again.json["session_id"] == row["id"]
    assert row["usd"] < again.json["total_cost_usd"] <= 2


@pytest.mark.slow
def test_ctrl_c_ends_it_with_what_it_has_and_it_can_be_resumed(tmp_path: Path) -> None:
    task = small_task(tmp_path / "t")
    made = str(tmp_path / "once")
    once = f"import os, signal; os.open({made!r}, os.O_CREAT | os.O_EXCL); os.kill(os.getppid(), signal.SIGINT)"
    words = [
        "sessions", "train", "--task", str(task), "-m", "medium,large", "-r", "200", "-c", "1", "--json",
        "--hook", f'optimization_round={sys.executable} -c "{once}"',
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "strop", *words], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "stopped"
    assert "stopping: what was paid for is kept" in done.stderr
    more = strop(
        "sessions", "resume", found["session_id"], "-C", task, "-b", 0.5, "-o", tmp_path / "r.md", "-q", "--json"
    )
    assert more.json["session_id"] == found["session_id"]
    assert more.json["total_cost_usd"] >= found["total_cost_usd"]
