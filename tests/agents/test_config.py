"""config.yaml: the document's own file works key by key, and a mistake is told with its line and the right name."""

from pathlib import Path
from typing import get_args

import pytest

from strop import examples
from strop.agents.config import (
    CANDIDATES,
    CONFIG_FILE,
    AgentConfig,
    ConfigFile,
    WeightName,
    load_config,
    need_config,
)
from strop.errors import BadInput, MetricError, TaskFileError
from strop.metrics import build
from strop.optimizers import find, names, settings_of
from strop.runs import TaskFile

DOCUMENT = """\
data:
  raw_dir: "./data/raw"
  processed_dir: "./data/processed"
  train_split: 0.2          # 20% for training
  val_split: 0.8            # 80% for validation
  min_examples: 10          # Minimum required examples
  require_success: true     # Only use successful sessions
models:
  # Model you're optimizing prompts for
  target:
    provider: "ollama"
    model: "qwen2.5-coder:7b"
    temperature: 0.0

  # Model used to generate optimized prompts
  teacher:
    provider: "anthropic"
    model: "claude-sonnet-4-5"
    api_key_env: "ANTHROPIC_API_KEY"
optimization:
  optimizer: "MIPROv2"      # Options: MIPROv2, COPRO, BootstrapFewShot
  auto_mode: "light"        # Options: light, medium, heavy
  num_trials: 20            # Number of optimization iterations
  max_bootstrapped_demos: 3 # Few-shot examples to include
  max_labeled_demos: 2

  # How to weight different aspects
  metric_weights:
    success: 0.5            # Task completion success
    efficiency: 0.3         # Number of tool calls
    correctness: 0.2        # Response quality
"""
TARGET = "models:\n  target: {provider: embedded, model: small}\n"


def load(tmp_path: Path, text: str) -> ConfigFile:
    (tmp_path / CONFIG_FILE).write_text(text, encoding="utf-8")
    return need_config(tmp_path)


def config(tmp_path: Path, text: str) -> AgentConfig:
    return load(tmp_path, text).config


def test_the_document_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_API_BASE", "OLLAMA_BASE_URL", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    file = load(tmp_path, DOCUMENT)
    target, teacher, search = file.config.models.target[0], file.config.models.teacher, file.config.optimization
    assert target.spec.model == "ollama_chat/qwen2.5-coder:7b"
    assert (target.spec.api_base, target.spec.temperature) == ("http://localhost:11434", 0.0)
    assert teacher is not None
    assert (teacher.spec.model, teacher.spec.api_key_env) == ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY")
    assert search.algorithm == (
        {"max_bootstrapped_demos": 3, "max_labeled_demos": 2, "num_trials": 20, "num_candidates": 6,
         "metric_threshold": 0.8},
        (),
    )  # fmt: skip
    settings = settings_of("miprov2", search.algorithm[0])
    assert (settings.num_trials, settings.num_candidates, settings.auto) == (20, 6, None)
    assert file.config.data.shares == pytest.approx((0.2, 0.4, 0.4))
    assert file.resolve(file.config.data.raw_dir) == tmp_path / "data" / "raw"
    assert file.config.outputs.logs_dir == "./outputs/logs"
    assert file.config.data.random_seed == 42


def test_the_documents_other_snippets(tmp_path: Path) -> None:
    gpt = config(
        tmp_path,
        'models:\n  target:\n    provider: "openai"\n    model: "gpt-4"\n    temperature: 0.0\n'
        '    api_key_env: "OPENAI_API_KEY"\n',
    )
    assert gpt.models.target[0].name == "openai/gpt-4"
    quick = config(
        tmp_path, TARGET + 'optimization:\n  auto_mode: "light"\n  num_trials: 5\ndata:\n  min_examples: 5\n'
    )
    assert quick.optimization.algorithm[0]["num_trials"] == 5
    assert quick.data.min_examples == 5


def test_candidates_of_a_mode_are_the_algorithms_own() -> None:
    from strop.optimizers.mipro import AUTO

    assert {mode: candidates for mode, (candidates, _) in AUTO.items()} == CANDIDATES


@pytest.mark.parametrize("name", [*names(), "MIPROv2", "COPRO", "BootstrapFewShot", "mipro", "few-shot"])
def test_every_algorithm_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    search = config(tmp_path, DOCUMENT.replace('"MIPROv2"', f'"{name}"')).optimization
    given, unused = search.algorithm
    assert search.optimizer == find(name).name
    settings_of(name, given)
    known = {*find(name).settings.model_fields}
    assert {"max_labeled_demos", "num_trials"} - known == {"max_labeled_demos", "num_trials"} & set(unused)


def test_only_keys_that_were_written_are_told_to_be_unused(tmp_path: Path) -> None:
    copro = "optimization:\n  optimizer: COPRO\n  depth: 2\n"
    assert config(tmp_path, TARGET + copro).optimization.algorithm == ({"depth": 2}, ())
    assert config(tmp_path, TARGET + copro + "  num_trials: 3\n").optimization.algorithm[1] == ("num_trials",)


def test_several_targets(tmp_path: Path) -> None:
    text = "models:\n  target:\n    - {provider: ollama, model: 'llama3:8b'}\n    - model: openai/gpt-4o-mini\n"
    assert [one.name for one in config(tmp_path, text).models.target] == [
        "ollama_chat/llama3:8b",
        "openai/gpt-4o-mini",
    ]


def test_shares(tmp_path: Path) -> None:
    given = "data: {train_split: 0.7, val_split: 0.15, test_split: 0.15}\n"
    assert config(tmp_path, TARGET + given).data.shares == pytest.approx((0.7, 0.15, 0.15))
    assert config(tmp_path, TARGET + "data: {train_split: 0.5}\n").data.shares == pytest.approx((0.5, 0.25, 0.25))


def test_an_ollama_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://box:11434")
    assert config(tmp_path, DOCUMENT).models.target[0].spec.api_base is None
    own = DOCUMENT.replace('model: "qwen2.5-coder:7b"', 'model: "q"\n    api_base: http://here:1')
    assert config(tmp_path, own).models.target[0].spec.api_base == "http://here:1"


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("min_examples", "min_exampels", 6, "unknown key `data.min_exampels`; did you mean `min_examples`?"),
        ("optimizer:", "algorithm:", 21, "unknown key `optimization.algorithm`; did you mean `optimizer`?"),
        ('"MIPROv2" ', '"MIPRO3" ', 21, "there is no algorithm 'MIPRO3'; did you mean 'miprov2'?"),
        ('"light" ', '"lite" ', 22, "`optimization.auto_mode`: 'lite' should be 'light', 'medium' or 'heavy'"),
        ("num_trials: 20", "num_trials: many", 23, "`optimization.num_trials`: 'many' must be an integer"),
        ("val_split: 0.8", "val_split: 0.5", 1, "train_split and val_split must add up to 1, not 0.7"),
        ("temperature", "temprature", 13, "unknown key `models.target.temprature`; did you mean `temperature`?"),
        ('api_key_env: "A', 'api_key: "A', 19, "keys stay in the environment or `.env`"),
        (
            "    success: ",
            "    sucess: ",
            29,
            "unknown key `optimization.metric_weights.sucess`; did you mean `success`?",
        ),
        (
            "    efficiency:",
            "    x: 1\n    efficiency:",
            30,
            "unknown key `optimization.metric_weights.x`; known: success,",
        ),
        (
            "success: 0.5",
            "success: -1",
            29,
            "`optimization.metric_weights.success`: -1 should be greater than or equal",
        ),
        ("  raw_dir", "  target: x\n  raw_dir", 2, "unknown key `data.target`; it belongs at `models.target`"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, line: int, told: str) -> None:
    assert old in DOCUMENT
    with pytest.raises(TaskFileError) as caught:
        load(tmp_path, DOCUMENT.replace(old, new, 1))
    assert told in str(caught.value)
    assert "[key]" not in str(caught.value)
    assert caught.value.line == line


def test_weights_are_those_of_the_metric(tmp_path: Path) -> None:
    parts = get_args(WeightName)
    assert build({"name": "coding_agent", "weights": dict.fromkeys(parts, 1.0)}).name == "coding_agent"
    for text in ("{success: 0}", "{}"):
        with pytest.raises(TaskFileError, match=r"config.yaml:3: .optimization.metric_weights"):
            load(tmp_path, TARGET + f"optimization: {{metric_weights: {text}}}\n")
    with pytest.raises(MetricError) as refused:
        build({"name": "coding_agent", "weights": {"x": 1.0}})
    assert all(part in str(refused.value) for part in parts)
    assert str(refused.value).count("'") == 2 * (len(parts) + 2)


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ("{target: {model: small}}", "`provider` is missing"),
        ("{target: {provider: openai-compatible, model: x}}", "needs an `api_base`"),
        ("{target: [{model: a/b}, {model: a/b}]}", "'a/b' is a target twice"),
        ("{target: []}", "at least 1 item"),
        ("{teacher: {model: a/b}}", "the key `models.target` is missing"),
    ],
)
def test_models_that_cannot_be_used(tmp_path: Path, models: str, told: str) -> None:
    with pytest.raises(TaskFileError, match=told):
        load(tmp_path, f"models: {models}\n")


def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    secret = "sk-" + "a1B2c3D4e5F6g7H8i9J0"
    with pytest.raises(TaskFileError, match="looks like an API key") as caught:
        load(tmp_path, DOCUMENT + f"# {secret}\n")
    assert secret not in str(caught.value)


def test_a_task_file_is_accepted_too(tmp_path: Path) -> None:
    examples.copy("iris", tmp_path)
    assert isinstance(load_config(tmp_path), TaskFile)
    with pytest.raises(BadInput, match=r"needs a config\.yaml"):
        need_config(tmp_path)


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="there is no"):
        load_config(tmp_path)


def test_the_example_project_is_the_document_with_other_models(tmp_path: Path) -> None:
    examples.copy("opencode", tmp_path)
    ours, theirs = need_config(tmp_path).config, config(tmp_path / "data", DOCUMENT)
    changed = {"max_labeled_demos", "budget_usd"}
    assert ours.optimization.model_dump(exclude=changed) == theirs.optimization.model_dump(exclude=changed)
    assert ours.data == theirs.data
    assert ours.outputs == theirs.outputs
    text = (tmp_path / CONFIG_FILE).read_text(encoding="utf-8")
    for line in (
        'provider: "ollama"',
        'model: "qwen2.5-coder:7b"',
        'provider: "anthropic"',
        'model: "claude-sonnet-4-5"',
    ):
        assert line in text
