"""Advanced monitoring: every event of a session, a moving average of the quality, statistics while it runs.

    python examples/sessions/advanced_monitoring.py

Support tickets are routed to a team. ANTHROPIC_API_KEY and OPENAI_API_KEY together take real models; without them it
runs offline, in seconds, with the embedded ones: small models for trials, whose scores say nothing about real models.
"""

import json
import os
from collections import defaultdict, deque
from importlib.resources import files

from strop.sessions import (
    IterationResult,
    ModelConfig,
    ModelProvider,
    Signature,
    SignatureExample,
    TrainingConfig,
    TrainingSession,
)

REAL = bool(os.environ.get("ANTHROPIC_API_KEY") and os.environ.get("OPENAI_API_KEY"))
MODELS = [
    ModelConfig(provider=ModelProvider.CLAUDE, model="claude-sonnet-4"),
    ModelConfig(provider=ModelProvider.GPT4, model="gpt-4-turbo"),
]
OFFLINE = [ModelConfig(model="embedded/medium"), ModelConfig(model="embedded/small")]
WINDOW = 5


def main() -> None:
    config = TrainingConfig(
        models=MODELS if REAL else OFFLINE,
        optimization_rounds=4,
        convergence_threshold=0.9,
        cost_budget=2.0,
        max_concurrency=8,
    )
    session = TrainingSession(config, metric="accuracy")
    recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))

    def watch(result: IterationResult) -> None:
        window = recent[result.model]
        window.append(result.quality.score)
        average = sum(window) / len(window)
        if result.phase != "benchmark":
            print(
                f"  {result.model:<18} {result.phase:<14} quality {result.quality.score:.3f}, "
                f"last {len(window)} on average {average:.3f}, {result.performance.latency:.0f} ms, "
                f"error rate {result.performance.error_rate:.0%}"
            )

    def new_phase(phase: str) -> None:
        now = session.get_statistics()
        print(f"Phase {phase}: ${now.total_cost:.4f} spent, {now.duration / 1000:.1f} s, best so far {now.best_model}")

    async def benchmarked(progress) -> None:  # a listener may be a coroutine function
        if progress.completed == progress.total:
            print(f"  {progress.total} sealed answers")

    session.on("start", lambda event: print(f"Started with {', '.join(event.models)}"))
    session.on("phase", new_phase)
    session.on("iteration", watch)
    session.on("optimization_round", lambda number: print(f"  round {number}"))
    session.on("converged", lambda provider: print(f"  {provider} has converged"))
    session.on("benchmark_progress", benchmarked)
    session.on("budget_exceeded", lambda cost: print(f"  the budget ends the search at ${cost:.4f}"))
    session.on("error", lambda error: print(f"  error: {error}"))
    session.on("complete", lambda data: print(f"Complete: best model {data.best_model}, ${data.total_cost:.4f}"))

    tickets = tuple(SignatureExample(input=text, output=team) for text, team in routed_tickets())
    teams = "|".join(sorted({example.output for example in tickets}))
    signature = Signature(
        name="ticket-routing", input="A support ticket", output="The team that handles it", examples=tickets,
        constraints=(f"one_of:{teams}",),
    )  # fmt: skip
    result = session.run("Route the support ticket to the team that should handle it.", signature)
    for one in result.models:
        before, after = one.baseline_test, one.best_test
        if before is not None and after is not None:
            print(f"{one.name}: accuracy {before.mean:.3f} -> {after.mean:.3f} on {len(after.scores)} sealed tickets")


def routed_tickets() -> list[tuple[str, str]]:
    lines = files("strop.examples").joinpath("ticket-routing", "tickets.jsonl").read_text("utf-8").splitlines()
    return [(row["message"], row["team"]) for row in map(json.loads, lines)]


if __name__ == "__main__":
    main()
