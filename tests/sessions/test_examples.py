"""The guide's session examples run as a user would run them, offline; with keys they name the real models."""

from __future__ import annotations

import re
import runpy
import socket
from pathlib import Path
from typing import Any

import pytest

from strop.sessions import SessionJournal, SessionResult, TrainingConfig
from strop.store import Store

EXAMPLES = Path(__file__).parents[2] / "examples" / "sessions"
CONFIGS = {
    "basic_training": {"optimization_rounds": 5, "cost_budget": 5.0},
    "advanced_monitoring": {"convergence_threshold": 0.9},
    "cost_optimized": {
        "optimization_rounds": 3, "baseline_iterations": 2, "benchmark_samples": 20, "cost_budget": 1.0,
    },
    "quality_focused": {"optimization_rounds": 15, "convergence_threshold": 0.98, "benchmark_samples": 100},
    "benchmark_comparison": {"benchmark_samples": 60},
}  # fmt: skip
"""The values of the guide's configurations, and of ours where the guide has none."""
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "TOGETHER_API_KEY")
PROVIDERS = {
    "basic_training": ["anthropic", "gemini"],
    "advanced_monitoring": ["anthropic", "openai"],
    "cost_optimized": ["gemini", "together_ai"],
    "quality_focused": ["anthropic", "openai"],
    "benchmark_comparison": ["anthropic", "openai", "gemini", "together_ai"],
}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own, no key, and no network."""
    monkeypatch.chdir(tmp_path)
    for key in (*KEYS, "GOOGLE_API_KEY", "STROP_DATABASE_URL"):
        monkeypatch.delenv(key, raising=False)

    def refuse(*_: object) -> None:
        raise AssertionError("an example wanted the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path


def ran(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[SessionResult, str]:
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    with Store.open(".strop/strop.db") as store:
        (record,) = SessionJournal(store).all()
        result = record.found
    assert result is not None
    assert result.status == "completed", result.why
    assert result.budget_usd is not None
    assert result.total_cost_usd <= result.budget_usd
    kept = TrainingConfig(**result.config)
    for key, value in CONFIGS[name].items():
        assert getattr(kept, key) == value
    return result, capsys.readouterr().out


def test_every_example_is_run_here() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(CONFIGS)


@pytest.mark.slow
def test_basic_training(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = ran("basic_training", capsys)
    assert len(re.findall(r"^embedded/\w+: quality=[01]\.\d{3}$", out, re.M)) == len(result.iterations)
    assert "Training complete!" in out
    assert f"Best model: {result.best_model}," in out
    assert (alone / ".strop/hooks/swarm/training/dspy-results.json").exists()


@pytest.mark.slow
def test_advanced_monitoring(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = ran("advanced_monitoring", capsys)
    phases = re.findall(r"^Phase (\w+):", out, re.M)
    assert phases == ["baseline", "optimization", "cross_learning", "benchmark", "report"]
    assert re.search(r"last 5 on average 0\.\d{3}", out)
    assert "sealed answers" in out
    for one in result.models:
        assert one.baseline_test is not None
        assert one.best_test is not None
        line = f"{one.name}: accuracy {one.baseline_test.mean:.3f} -> {one.best_test.mean:.3f} on 100 sealed tickets"
        assert line in out
    best = result.model(result.best_model or "")
    assert best.best_test is not None
    assert best.baseline_test is not None
    assert best.best_test.mean > best.baseline_test.mean + 0.1


@pytest.mark.slow
def test_cost_optimized(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = ran("cost_optimized", capsys)
    for one in result.models:
        assert re.search(rf"^{one.name}: quality 0\.\d+, \$[\d.]+ for {len(one.iterations)} iterations", out, re.M)


@pytest.mark.slow
def test_quality_focused(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = ran("quality_focused", capsys)
    for one in result.models:
        assert one.best_test is not None
        good = sum(score >= 0.9 for score in one.best_test.scores) / len(one.best_test.scores)
        assert f"{one.name}: {good:.0%} of {len(one.best_test.scores)} sealed answers" in out


@pytest.mark.slow
def test_benchmark_comparison(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = ran("benchmark_comparison", capsys)
    assert [one.name for one in result.models] == ["small", "medium", "large"]
    rows = re.findall(r"^(small|medium|large) +([\d.]+)% +([\d.]+)%", out, re.M)
    assert len(rows) == 3
    assert [float(row[2]) for row in rows] == sorted((float(row[2]) for row in rows), reverse=True)


@pytest.mark.parametrize("name", CONFIGS)
def test_with_keys_the_real_models_are_asked(name: str, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.setenv(key, "not-a-key-of-anybody")
    defined: dict[str, Any] = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="example")
    models = defined["MODELS"]
    assert defined.get("REAL", True) is True
    listed = list(models.values() if isinstance(models, dict) else models)
    assert [one.full_name.split("/", 1)[0] for one in listed] == PROVIDERS[name]
