"""The Python guide, kept to its word: its snippets run, its figures are measured, its runs leave each other alone."""

from __future__ import annotations

import ast
import asyncio
import json
import pickle
import re
import subprocess
import sys
import textwrap
import threading
import time
import types
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from strop.errors import ArtifactRefused, BadInput, BudgetExceeded, CallFailed, ConstraintsUnmet, NotFound, ProviderDown
from strop.gateway import FunctionProvider
from strop.pipeline import (
    CustomMetric,
    OptimizationConstraints,
    OptimizationPipeline,
    OptimizationRequest,
    OptimizationResult,
)
from tests.support.simulated import respond

# The blocks of the guide, as they stand there; only the modules that they import from are other ones.
QUICK_START = """
from strop.pipeline import DSPyOptimizationPipeline
from strop.pipeline import (
    OptimizationRequest,
    OptimizationObjective,
    MetricType
)

# Initialize the pipeline
pipeline = DSPyOptimizationPipeline()

# Define your optimization request
request = OptimizationRequest(
    # What you're optimizing
    target="summarization_prompt",

    # What you want to achieve
    objective=OptimizationObjective.MAXIMIZE_ACCURACY,

    # How to measure success
    evaluation_metric=MetricType.ROUGE_SCORE,

    # Algorithm to use
    algorithm="miprov2",

    # Stop conditions
    max_iterations=50,
    timeout_seconds=300,

    # Your training examples
    training_examples=[
        {
            "input": "Long text to summarize...",
            "expected_output": "Concise summary..."
        },
        # Add 10-100 examples for best results
    ]
)

# Run optimization
result = await pipeline.optimize(request)

# Use the optimized prompt
print(f"Original accuracy: {result.baseline_metrics.accuracy}")
print(f"Optimized accuracy: {result.optimized_metrics.accuracy}")
print(f"Improvement: {result.improvement_percentage}%")
print(f"Optimized prompt: {result.optimized_prompt}")
"""

CLASSIFICATION = """
from strop.pipeline import DSPyOptimizationPipeline
from strop.pipeline import *

# Classification task: sentiment analysis
pipeline = DSPyOptimizationPipeline()

request = OptimizationRequest(
    target="sentiment_classifier",
    objective=OptimizationObjective.MAXIMIZE_ACCURACY,
    evaluation_metric=MetricType.F1_SCORE,
    algorithm="miprov2",

    # Training data with labels
    training_examples=[
        {"text": "This product is amazing!", "label": "positive"},
        {"text": "Worst purchase ever.", "label": "negative"},
        {"text": "It's okay, nothing special.", "label": "neutral"},
        # Add 50-100 more examples
    ],

    # Validation data (20% of total)
    validation_examples=[
        {"text": "Great value for money", "label": "positive"},
        # Add validation examples
    ],

    # Constraints
    constraints=OptimizationConstraints(
        max_tokens=100,
        max_cost_usd=5.0,
        min_accuracy=0.75
    )
)

result = await pipeline.optimize(request)

# Save the optimized classifier
await pipeline.save_optimized_model(
    result.model_id,
    output_path="models/sentiment_classifier_v1.pkl"
)
"""

QUESTION_ANSWERING = """
# QA task: extract answers from documents
request = OptimizationRequest(
    target="qa_system",
    objective=OptimizationObjective.MAXIMIZE_ACCURACY,
    evaluation_metric=MetricType.EXACT_MATCH,
    algorithm="bootstrapfewshot",

    training_examples=[
        {
            "context": "The Eiffel Tower is 330 meters tall...",
            "question": "How tall is the Eiffel Tower?",
            "answer": "330 meters"
        },
        # Add more QA pairs
    ],

    # Few-shot learning configuration
    few_shot_config={
        "num_examples": 5,
        "selection_strategy": "diverse",
        "include_reasoning": True
    }
)

result = await pipeline.optimize(request)

# Test the optimized system
test_question = {
    "context": "Paris is the capital of France...",
    "question": "What is the capital of France?"
}

answer = await pipeline.predict(result.model_id, test_question)
print(f"Answer: {answer}")
"""

CUSTOM_METRIC = '''
from strop.pipeline import CustomMetric

# Define your own evaluation metric
def custom_relevance_scorer(prediction: str, ground_truth: str) -> float:
    """Custom metric: relevance score based on keyword overlap"""
    pred_keywords = set(prediction.lower().split())
    truth_keywords = set(ground_truth.lower().split())

    if not truth_keywords:
        return 0.0

    overlap = pred_keywords & truth_keywords
    return len(overlap) / len(truth_keywords)

# Register custom metric
custom_metric = CustomMetric(
    name="relevance_score",
    evaluation_function=custom_relevance_scorer,
    higher_is_better=True,
    min_value=0.0,
    max_value=1.0
)

# Use in optimization
request = OptimizationRequest(
    target="content_generator",
    objective=OptimizationObjective.CUSTOM,
    evaluation_metric="relevance_score",
    custom_metrics=[custom_metric],
    algorithm="miprov2"
)

result = await pipeline.optimize(request)
'''

ANALYTICS = """
# After optimization, review analytics
analytics = await pipeline.get_analytics(result.optimization_id)

print(f"Total cost: ${analytics.total_cost_usd}")
print(f"Cost per sample: ${analytics.cost_per_sample}")
print(f"Latency P50: {analytics.latency_p50_ms}ms")
print(f"Latency P95: {analytics.latency_p95_ms}ms")

# Iterate based on insights
if analytics.cost_per_sample > 0.01:
    # Try with smaller model
    request.constraints.target_model = "gpt-5-mini"
"""

VERSIONING = """
# Always version your models
await pipeline.save_optimized_model(
    model_id=result.model_id,
    version="1.0.0",
    metadata={
        "algorithm": "miprov2",
        "training_date": "2025-11-01",
        "accuracy": 0.85,
        "use_case": "production_sentiment_analysis"
    }
)

# Load specific version in production
model = await pipeline.load_model(
    name="sentiment_classifier",
    version="1.0.0"  # Pin to stable version
)
"""

LESS_COST = """
# 1. Use smaller model for optimization
request.constraints.target_model = "gpt-5-mini"

# 2. Reduce candidates
request.algorithm_config["num_candidates"] = 10  # Down from 20

# 3. Enable early stopping
request.algorithm_config["early_stopping"] = True
request.algorithm_config["patience"] = 2

# 4. Set cost limit
request.constraints.max_cost_usd = 5.0
"""


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STROP_MODEL", "STROP_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


async def run_block(block: str, names: dict[str, Any]) -> None:
    code = compile(block, "guide.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = types.FunctionType(code, names)()
    if waiting is not None:
        await waiting


def test_quick_start(capsys: pytest.CaptureFixture[str]) -> None:
    async def snippets() -> None:
        names: dict[str, Any] = {}
        with pytest.warns(UserWarning, match="1 example is too few"):
            await run_block(QUICK_START, names)
        result: OptimizationResult = names["result"]
        assert (result.status, result.verdict) == ("insufficient_data", "INSUFFICIENT DATA")
        assert result.improvement_percentage == 0.0
        assert result.optimized_metrics == result.baseline_metrics
        assert (result.baseline_metrics.n, result.baseline_metrics.measured_on) == (1, "all examples")
        assert result.p_value is None
        names["pipeline"].close()

    asyncio.run(snippets())
    assert "Improvement: 0.0%" in capsys.readouterr().out


def test_basic_usage_and_the_snippets_that_follow_from_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def snippets() -> None:
        names: dict[str, Any] = {}
        with (
            pytest.warns(UserWarning, match="4 examples are too few"),
            pytest.warns(UserWarning, match="holds JSON, not a pickle"),
        ):
            await run_block(CLASSIFICATION, names)
        saved = json.loads((tmp_path / "models" / "sentiment_classifier_v1.pkl").read_bytes())
        assert saved["program"]["spec"]["signature"] == "text -> label"
        first = names["result"]
        assert first.baseline_metrics.n == 4

        await run_block(ANALYTICS, names)
        await run_block(VERSIONING, names)
        assert names["model"].metadata["use_case"] == "production_sentiment_analysis"
        assert names["model"].version == "1.0.0"
        assert names["model"].predict({"text": "Great!"}) == await names["pipeline"].predict(
            first.model_id, {"text": "Great!"}
        )
        await run_block(LESS_COST, names)
        assert names["request"].constraints.max_cost_usd == 5.0

        with pytest.warns(UserWarning, match="bootstrapfewshot needs 1 example"):
            await run_block(QUESTION_ANSWERING, names)
        assert isinstance(names["answer"], str)

        with pytest.warns(UserWarning, match="there are no examples"):
            await run_block(CUSTOM_METRIC, names)
        empty: OptimizationResult = names["result"]
        assert empty.baseline_metrics.score is None
        assert empty.baseline_metrics.accuracy is None
        assert empty.baseline_metrics.latency_ms is None
        assert (empty.total_cost_usd, empty.status) == (0, "insufficient_data")
        assert isinstance(await names["pipeline"].predict(empty.model_id, {"input": "Write of the sea."}), str)
        assert (await names["pipeline"].get_analytics(empty.optimization_id)).calls == 0
        names["pipeline"].close()

    asyncio.run(snippets())
    assert "Answer: " in capsys.readouterr().out


# A task with a planted gain: the simulated model answers right only once it sees worked examples.
def rows(n: int = 80, offset: int = 0) -> list[dict[str, Any]]:
    words = ["pear", "plum", "fig", "kale", "leek", "chard"]
    return [
        {"text": f"Case {offset + i}: {words[i % 6]} {words[(i // 6) % 6]} number {7 * i}", "label": "ab"[i % 6 // 3]}
        for i in range(n)
    ]


class Oracle:
    """Right when the prompt holds a worked example, else always `a`. Remembers which texts it was asked about."""

    def __init__(self, *, sleep_s: float = 0.0) -> None:
        self.calls = 0
        self.texts: set[str] = set()
        self._sleep_s = sleep_s
        self._lock = threading.Lock()

    def __call__(self, request: Any, rollout: int | None, index: int) -> Any:
        time.sleep(self._sleep_s)
        last = request.messages[-1].text or ""
        found = re.search(r"## text ## \]\]\n(.*)", last)
        text = found.group(1) if found else ""
        with self._lock:
            self.calls += 1
            self.texts.add(text)
        first = re.search(r": (\w+) ", text)
        right = "a" if first and first.group(1) in {"pear", "plum", "fig"} else "b"
        seen = sum(message.role == "assistant" for message in request.messages) > 0
        return respond(
            f"[[ ## label ## ]]\n{right if seen else 'a'}\n\n[[ ## completed ## ]]", tokens_in=100, tokens_out=10
        )


def offered(pipeline: OptimizationPipeline, model: str, answer: Callable[..., Any]) -> None:
    """Offer a simulated model at 1 and 2 USD a million tokens."""
    Path("prices.yaml").write_text("'sim/*': {input: 1, output: 2}\n")
    pipeline.house.gateway.offer(model, FunctionProvider(answer, endpoint=model))


def asked(**changes: Any) -> OptimizationRequest:
    keys: dict[str, Any] = {
        "target": "ab", "evaluation_metric": "accuracy", "algorithm": "labeledfewshot", "training_examples": rows(),
        "model": "sim/one",
    }  # fmt: skip
    return OptimizationRequest(**{**keys, **changes})


def in_pipeline(use: Callable[[OptimizationPipeline], Coroutine[Any, Any, Any]], **how: Any) -> Any:
    async def run() -> Any:
        Path("prices.yaml").write_text("'sim/*': {input: 1, output: 2}\n")
        async with OptimizationPipeline(**how) as pipeline:
            return await use(pipeline)

    return asyncio.run(run())


def test_a_planted_gain_is_found_and_its_figures_are_the_ledgers() -> None:
    oracle = Oracle()

    async def use(pipeline: OptimizationPipeline) -> None:
        offered(pipeline, "sim/one", oracle)
        result = await pipeline.optimize(asked(log_predictions=True))
        assert (result.status, result.verdict) == ("completed", "IMPROVED")
        assert (result.baseline_metrics.score, result.optimized_metrics.score) == (0.5, 1.0)
        assert (result.baseline_metrics.n, result.baseline_metrics.measured_on) == (24, "test")
        assert result.improvement_percentage == pytest.approx(100.0)
        assert result.p_value is not None
        assert result.p_value == pytest.approx(2.0**-12)
        assert len(result.predictions) == 12
        assert result.optimized_config["predictors"][0]["demos"]

        analytics = await pipeline.get_analytics(result.optimization_id)
        # 100 tokens in at 1 USD, 10 out at 2 USD a million.
        assert analytics.calls == oracle.calls
        assert analytics.total_cost_usd == pytest.approx(oracle.calls * 0.00012, abs=1e-12)
        assert result.total_cost_usd == analytics.total_cost_usd
        assert analytics.cost_per_sample == pytest.approx(0.00012)
        assert await pipeline.predict(result.model_id, {"text": "Case 900: kale fig number 3"}) == "b"
        assert await pipeline.predict("ab", {"text": "Case 901: pear fig number 3", "other": 1}) == "a"
        with pytest.raises(BadInput, match="needs the input 'text'"):
            await pipeline.predict("ab", {"txt": "x"})

    in_pipeline(use)


def test_eight_at_once_each_on_its_own_model() -> None:
    oracles = [Oracle(sleep_s=0.002) for _ in range(8)]

    async def use(pipeline: OptimizationPipeline) -> None:
        for number, oracle in enumerate(oracles):
            offered(pipeline, f"sim/m{number}", oracle)
        results = await asyncio.gather(
            *(
                pipeline.optimize(
                    asked(target=f"task_{n}", model=f"sim/m{n}", training_examples=rows(60, offset=1000 * n))
                )
                for n in range(8)
            )
        )
        assert {result.verdict for result in results} == {"IMPROVED"}
        for n, (result, oracle) in enumerate(zip(results, oracles, strict=True)):
            mine = {row["text"] for row in rows(60, offset=1000 * n)}
            assert oracle.texts <= mine
            lines = pipeline.house.gateway.ledger.lines(f"run:{result.optimization_id}")
            assert {line.model for line in lines} == {f"sim/m{n}"}
            assert result.optimized_config["models"]["task"] == f"sim/m{n}"

    in_pipeline(use)


def test_cancelling_the_task_cancels_the_run() -> None:
    oracle = Oracle(sleep_s=0.05)

    async def use(pipeline: OptimizationPipeline) -> None:
        offered(pipeline, "sim/one", oracle)
        running = asyncio.create_task(pipeline.optimize(asked(training_examples=rows(400))))
        while not oracle.calls:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        (record,) = pipeline.house.journal.all()
        assert record.status == "cancelled"
        calls = oracle.calls
        await asyncio.sleep(0.3)
        assert oracle.calls <= calls + 16
        assert calls < 400

    in_pipeline(use)


@pytest.mark.parametrize("n", [3, 80])
def test_a_dead_provider_is_an_error_and_never_a_result(n: int) -> None:
    def dead(request: Any, rollout: int | None, index: int) -> Any:
        raise CallFailed("sim/one", "auth", "no such key", unsent=True)

    async def use(pipeline: OptimizationPipeline) -> None:
        offered(pipeline, "sim/one", dead)
        with pytest.raises(ProviderDown, match="sim/one"):
            await pipeline.optimize(asked(training_examples=rows(n)))
        with pytest.raises(NotFound):
            await pipeline.load_model("ab")
        assert pipeline.house.registry.names() == ()

    in_pipeline(use)


def test_constraints_that_nobody_meets_are_explained() -> None:
    async def use(pipeline: OptimizationPipeline) -> None:
        offered(pipeline, "sim/one", Oracle())
        with pytest.raises(ConstraintsUnmet, match="110 tokens a request, at most 50 allowed"):
            await pipeline.optimize(asked(constraints=OptimizationConstraints(max_tokens=50)))

    in_pipeline(use)


def test_a_budget_of_nothing_buys_nothing() -> None:
    oracle = Oracle()

    async def use(pipeline: OptimizationPipeline) -> None:
        offered(pipeline, "sim/one", oracle)
        with pytest.raises(BudgetExceeded):
            await pipeline.optimize(asked(constraints=OptimizationConstraints(max_cost_usd=0)))
        with pytest.warns(UserWarning, match="not even that could be measured"):
            few = await pipeline.optimize(asked(training_examples=rows(3), budget_usd=0))
        assert few.baseline_metrics.score is None
        assert oracle.calls == 0

    in_pipeline(use)


def test_a_run_that_ends_early_claims_nothing() -> None:
    async def use(pipeline: OptimizationPipeline) -> OptimizationResult:
        offered(pipeline, "sim/one", Oracle(sleep_s=0.01))
        # Enough for the dev baseline (24 calls at 0.00012 USD), not for a search and a sealed test.
        return await pipeline.optimize(asked(budget_usd=0.0075))

    result = in_pipeline(use)
    assert result.status == "budget_exceeded"
    assert result.verdict == "INSUFFICIENT DATA"
    assert result.improvement_percentage == 0.0
    assert result.baseline_metrics.measured_on == "dev"
    assert "no gain is claimed" in result.message
    assert result.total_cost_usd <= 0.0075


def test_flags() -> None:
    async def use(pipeline: OptimizationPipeline) -> None:
        offered(pipeline, "sim/one", Oracle())
        private = await pipeline.optimize(asked(enable_analytics=False))
        with pytest.raises(BadInput, match="enable_analytics"):
            await pipeline.get_analytics(private.optimization_id)
        assert private.predictions == ()
        free = await pipeline.optimize(asked(target="other", track_costs=False, seed=1))
        analytics = await pipeline.get_analytics(free.optimization_id)
        assert (analytics.total_cost_usd, analytics.cost_per_sample) == (None, None)
        with pytest.raises(NotFound):
            await pipeline.get_analytics("nothing")

    in_pipeline(use)


def test_saved_versions() -> None:
    async def use(pipeline: OptimizationPipeline) -> None:
        offered(pipeline, "sim/one", Oracle())
        result = await pipeline.optimize(asked())
        baseline = result.model_id.replace("@2", "@1")
        await pipeline.save_optimized_model(result.model_id, version="1.0.0", metadata={"by": "me"})
        await pipeline.save_optimized_model(result.model_id, version="1.0.1")
        await pipeline.save_optimized_model(result.model_id, version="1.0.0", metadata={"by": "me"})
        with pytest.raises(BadInput, match=r"label '1\.0\.0' already"):
            await pipeline.save_optimized_model(baseline, version="1.0.0")
        with pytest.raises(BadInput, match="saved before, with other metadata"):
            await pipeline.save_optimized_model(result.model_id, version="1.0.0", metadata={"by": "you"})
        assert (await pipeline.load_model("ab", version="1.0.0")).predict({"text": "Case 1: kale fig"}) == "b"
        assert (await pipeline.load_model("ab", version="1.0.1")).version == "1.0.1"
        # Nobody saved a 2.0.0: the registry's own label of the second version.
        assert (await pipeline.load_model("ab", version="2.0.0")).metadata == {}
        with pytest.raises(NotFound):
            await pipeline.load_model("ab", version="7.7.7")

    in_pipeline(use)


@pytest.mark.slow
def test_another_process_predicts_the_same(tmp_path: Path) -> None:
    """By name through the database, and from the file where nothing else is known; closing is not needed for either."""
    questions = [{"text": f"Case {i}: fig kale"} for i in range(5)]

    async def use(pipeline: OptimizationPipeline) -> list[Any]:
        result = await pipeline.optimize(asked(model="embedded/small"))
        await pipeline.save_optimized_model(result.model_id, tmp_path / "ab.json")
        model = await pipeline.load_model(result.model_id)
        return [result.model_id, [model.predict(question) for question in questions]]

    model_id, here = in_pipeline(use)
    script = textwrap.dedent(f"""
        import asyncio, gc, json, os, tempfile
        from strop.pipeline import OptimizationPipeline

        async def main():
            pipeline = OptimizationPipeline()
            by_name = [await pipeline.predict({model_id!r}, q) for q in {questions!r}]
            os.chdir(tempfile.mkdtemp())
            pipeline = OptimizationPipeline()
            model = await pipeline.load_model({str(tmp_path / "ab.json")!r})
            print(json.dumps([by_name, [model.predict(q) for q in {questions!r}]]))

        asyncio.run(main())
        gc.collect()
    """)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [here, here]


class Hostile:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("owned"), "yes"))


def test_a_pickle_is_refused_unexecuted(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Hostile()))

    async def use(pipeline: OptimizationPipeline) -> None:
        with pytest.raises(ArtifactRefused):
            await pipeline.load_model(str(tmp_path / "model.pkl"))

    in_pipeline(use)
    assert not Path("owned").exists()


def test_which_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(model=None)
    assert OptimizationPipeline().models_for(request)[0] == {"model": "embedded/small"}
    assert OptimizationPipeline().models_for(request)[1] == {"model": "embedded/large"}
    monkeypatch.setenv("STROP_MODEL", "openai/gpt-4o-mini")
    assert OptimizationPipeline().models_for(request) == ({"model": "openai/gpt-4o-mini"}, None)
    assert OptimizationPipeline(model="sim/own").models_for(request)[0] == {"model": "sim/own"}
    assert OptimizationPipeline(model="sim/own").models_for(asked())[0] == {"model": "sim/one"}
    request.constraints.target_model = "gpt-5-mini"
    assert OptimizationPipeline(model="sim/own").models_for(request)[0] == {"model": "openai/gpt-5-mini"}


@pytest.mark.parametrize("name", ["gpu_config", "mlflow_config"])
def test_what_is_not_there_is_not_pretended(name: str) -> None:
    with pytest.raises(BadInput, match="not part of this version") as refused:
        OptimizationPipeline(**{name: object()})
    assert refused.value.hint == f"leave {name} out"


def test_a_custom_metric_with_a_direction_of_its_own() -> None:
    def misses(prediction: str, ground_truth: str) -> float:
        return 0.0 if prediction == ground_truth else 4.0

    metric = CustomMetric(name="misses", evaluation_function=misses, higher_is_better=False, max_value=8)

    async def use(pipeline: OptimizationPipeline) -> OptimizationResult:
        offered(pipeline, "sim/one", Oracle())
        return await pipeline.optimize(asked(evaluation_metric="misses", custom_metrics=[metric], objective="custom"))

    result = in_pipeline(use)
    assert (result.baseline_metrics.value, result.optimized_metrics.value) == (2.0, 0.0)
    assert (result.baseline_metrics.score, result.optimized_metrics.score) == (0.75, 1.0)
    assert result.improvement_percentage == pytest.approx(100.0)
