"""Training on small embedded models: rows from prepared examples, a real gain, what is left on disk."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strop import examples
from strop.agents.config import ConfigFile, need_config
from strop.agents.program import context_text, program_rows
from strop.agents.training import Trained, need_keys, next_steps, task_of, train, write_program_data
from strop.app import House
from strop.errors import DataError, SettingsError
from strop.exporters import split_front_matter

WIDTH = {"train": (0, 8), "dev": (8, 18), "test": (18, 28)}


def prepared(example: dict[str, Any]) -> dict[str, Any]:
    """The six keys of the document's processed examples."""
    return {
        "task": example["input"]["task"],
        "context": example["input"]["context"],
        "actions": [{key: action[key] for key in ("tool", "args", "success")} for action in example["actions"]],
        "expected_response": example["output"]["response"],
        "success": example["outcome"]["success"],
        "metrics": example["outcome"]["metrics"],
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example project with splits by session, made without `prepare`."""
    examples.copy("opencode", tmp_path)
    logs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.glob("data/raw/*.json"))]
    (tmp_path / "data" / "splits").mkdir()
    for part, (first, last) in WIDTH.items():
        rows = [prepared(example) for log in logs[first:last] for example in log["examples"]]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data" / "splits" / f"{part}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def configured(project: Path, changes: dict[str, str]) -> ConfigFile:
    path = project / "config.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return need_config(project)


@pytest.fixture
def house(project: Path) -> Iterator[House]:
    with House.at(project) as house:
        yield house


def trained(file: ConfigFile, house: House) -> list[Trained]:
    return train(file, house, house.carry_out)


def test_examples_become_rows(project: Path) -> None:
    rows = program_rows("train", project / "data/splits/train.jsonl")
    assert rows.negatives == 0
    assert rows.left_out > 0
    for row in rows.rows:
        assert row["plan"].startswith(("read(", "list(", "grep("))
        assert "/srv/shop" not in row["plan"] + row["context"]
    dev = program_rows("dev", project / "data/splits/dev.jsonl")
    failed = [row for row in dev.rows if row["plan"].startswith("NOT ")]
    assert len(failed) == dev.negatives > 0
    assert {row["response"] for row in failed} == {"not known"}
    assert program_rows("dev", project / "data/splits/dev.jsonl", with_negatives=False).negatives == 0
    assert program_rows("test", project / "data/splits/test.jsonl").negatives == 0


def test_a_context_as_text() -> None:
    given = {"workingDirectory": "/w", "relevantFiles": ["a.py", "b.py"], "gitStatus": {"branch": "main"}, "empty": "",
             "changed_files": ["a.py"]}  # fmt: skip
    assert context_text(given) == 'relevantFiles: a.py, b.py\ngitStatus: {"branch": "main"}'
    assert context_text("as it is") == "as it is"
    assert context_text(None) == ""


def test_bootstrapped_examples_bring_a_real_gain(project: Path, house: House) -> None:
    file = configured(project, {'"MIPROv2" ': '"BootstrapFewShot" '})
    (done,) = trained(file, house)
    test = done.run.data["test"]
    assert (done.run.status, done.run.verdict) == ("completed", "IMPROVED")
    assert test["optimized"] > test["baseline"] + 0.2
    assert done.task == "coding-agent-embedded-small"
    assert done.run.version is not None

    assert done.prompt is not None
    assert done.prompt == project / "outputs/prompts/small-optimized.md"
    front, body = split_front_matter(done.prompt.read_text(encoding="utf-8"))
    assert front["mode"] == "primary"
    assert body.count("### Example") == 16
    assert "NOT " not in body
    origin = json.loads(done.prompt.with_suffix(".meta.json").read_text(encoding="utf-8"))
    assert origin["run"] == done.run.run_id

    assert done.candidates is not None
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(done.candidates.iterdir())]
    assert [one["number"] for one in kept] == list(range(1, len(kept) + 1))
    assert sum(one["chosen"] for one in kept) == 1
    assert kept[0]["program"]

    log = done.log.read_text(encoding="utf-8")
    assert done.log.parent == project / "outputs/logs"
    assert "run.started" in log
    assert "verdict: IMPROVED" in log
    assert next_steps(done, project)[0] == "1. Review the prompt: cat outputs/prompts/small-optimized.md"
    review, put, _ = next_steps(done, project, project.parent)
    assert review == f"1. Review the prompt: cat {project.name}/outputs/prompts/small-optimized.md"
    assert put.startswith(f"2. Install it:        strop agents install -C {project.name} --target ")


@pytest.mark.parametrize(("name", "more"), [("COPRO", "breadth: 3"), ("MIPROv2", "minibatch_size: 10")])
def test_the_documents_other_optimizers_run(project: Path, house: House, name: str, more: str) -> None:
    changes = {'"MIPROv2" ': f'"{name}" ', "num_trials: 20": "num_trials: 4\n  depth: 1\n  settings: {" + more + "}"}
    (done,) = trained(configured(project, changes), house)
    assert done.run.status == "completed", done.run.error
    assert done.run.data["algorithm"] == name.lower()
    if name == "MIPROv2":
        assert done.run.data["dev"]["optimized"] > done.run.data["dev"]["baseline"] + 0.2


def test_several_targets_get_a_run_and_a_prompt_each(project: Path, house: House) -> None:
    several = "target:\n    - {provider: embedded, model: small}\n    - {provider: embedded, model: medium}\n  unused:"
    text = (project / "config.yaml").read_text(encoding="utf-8")
    start, end = text.index("  target:"), text.index("  # The model that writes")
    text = text[:start] + "  " + several.replace("\n  unused:", "\n") + text[end:]
    text = text.replace('"MIPROv2" ', '"LabeledFewShot" ').replace(
        "save_intermediate: true", "save_intermediate: false"
    )
    (project / "config.yaml").write_text(text, encoding="utf-8")
    heard: list[str] = []
    first, second = train(need_config(project), house, house.carry_out, heard.append)
    assert [first.task, second.task] == ["coding-agent-embedded-small", "coding-agent-embedded-medium"]
    assert first.prompt != second.prompt
    assert first.run.run_id != second.run.run_id
    assert first.candidates is None
    assert not (project / "outputs/candidates").exists()
    assert any("labeledfewshot has no use for auto_mode, max_bootstrapped_demos" in line for line in heard)


def test_the_log_has_no_secret(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "tkn-0123456789abcdef-of-somebody"
    monkeypatch.setenv("MY_SECRET_TOKEN", secret)
    file = configured(project, {'"MIPROv2" ': '"LabeledFewShot" '})
    rows = project / "data/splits/train.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8").replace("Cover the tax rates", f"Use {secret} on the tax rates"))
    with House.at(project) as house:
        (done,) = trained(file, house)
    written = [done.log, *project.glob("outputs/**/*.json")]
    assert all(secret not in path.read_text(encoding="utf-8") for path in written)


def test_a_missing_key_is_told_before_anything_is_paid(
    project: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    file = configured(project, {'model: "large"': 'model: "large"\n    api_key_env: ANTHROPIC_API_KEY'})
    with pytest.raises(SettingsError, match="ANTHROPIC_API_KEY is not set") as caught:
        trained(file, house)
    assert ".env" in (caught.value.hint or "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "here-it-is")
    need_keys(file)


def test_a_metric_of_ones_own(project: Path) -> None:
    (project / "mine.py").write_text(
        "def score(example, prediction, trace=None):\n    return float('(' in prediction.plan)\n", encoding="utf-8"
    )
    file = configured(
        project, {'# metric: "my_metrics:score" ': 'metric: "mine:score" ', '"MIPROv2" ': '"LabeledFewShot" '}
    )
    with House.at(project) as house:
        (done,) = trained(file, house)
    assert done.run.data["metric"] == "mine:score"
    assert done.run.data["test"]["optimized"] > 0.9
    assert "NOT " not in (project / "data/processed/program/dev.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [None, "", '{"task": "t", "actions": [], "success": false}\n'])
def test_no_split(project: Path, content: str | None) -> None:
    file = project / "data/splits/train.jsonl"
    file.unlink() if content is None else file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="Failed to create train/validation split"):
        write_program_data(need_config(project))


@pytest.mark.parametrize("line", ["{", "[]", '{"actions": []}', '{"task": "t", "actions": ["x"]}'])
def test_a_broken_split_is_told_with_its_line(project: Path, line: str) -> None:
    path = project / "data/splits/dev.jsonl"
    path.write_text("\n" + line + "\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        write_program_data(need_config(project))
    assert (caught.value.file, caught.value.line) == (str(path), 2)


def test_the_task_of_a_target_can_be_repeated_from_its_files(project: Path) -> None:
    file = need_config(project)
    write_program_data(file)
    task = task_of(file, file.config.models.target[0])
    assert task.data.train == "data/processed/program/train.jsonl"
    assert task.models.teacher is not None
    assert task.models.teacher.model == "embedded/large"
    assert task.strategy == "cot"
