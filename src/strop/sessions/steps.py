"""From measured rows to an IterationResult: quality, performance, prompt and output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from strop.evaluation import Row
from strop.gateway import usd
from strop.programs import prompt_text
from strop.sessions.attempt import SessionAttempt
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant
from strop.sessions.quality import DIMENSIONS, assess, mean_quality
from strop.sessions.result import IterationResult, PerformanceMetrics, QualityMetrics, SealedScores, Variant, now

if TYPE_CHECKING:
    import dspy

SHOWN_OUTPUT = 2000


def iteration(
    attempt: SessionAttempt,
    one: Contestant,
    phase: TrainingPhase,
    program: dspy.Module,
    rows: Sequence[Row],
    *,
    seconds: float,
    optimizations: Sequence[str] = (),
    variant: Variant = "candidate",
    kept: bool = True,
) -> IterationResult:
    """The result of one iteration: the means over its rows."""
    single = rows[0] if len(rows) == 1 else None
    return IterationResult(
        iteration=one.next_iteration(phase),
        phase=phase,
        model=one.name,
        model_provider=one.config.provider,
        quality=mean_quality([quality_of(attempt, row) for row in rows]),
        performance=performance_of(rows, seconds),
        timestamp=now(),
        prompt=prompt_text(program),
        output=_shown(rows[0]) if rows else "",
        optimizations=tuple(optimizations),
        variant=variant,
        kept=kept,
        n=len(rows),
        example_id=None if single is None else single.example_id,
        error=None if single is None else single.error,
    )


def quality_of(attempt: SessionAttempt, row: Row) -> QualityMetrics:
    """The six dimensions of one answer; accuracy is the task metric where there is one."""
    if set(DIMENSIONS) <= set(row.score.parts):
        return QualityMetrics(**{name: row.score.parts[name] for name in DIMENSIONS})
    subject = attempt.problem.subject or " ".join(str(value) for name, value in row.inputs.items() if name != "config")
    return assess(_shown(row), accuracy=row.score.value, subject=subject)


def performance_of(rows: Sequence[Row], seconds: float) -> PerformanceMetrics:
    """What the rows took: latency is the mean of an answer, throughput by the clock, error rate failed over asked."""
    answered = [row for row in rows if not _unanswered(row)]
    return PerformanceMetrics(
        latency=sum(row.latency_us for row in answered) / 1000 / len(answered) if answered else 0.0,
        throughput=len(rows) / seconds if seconds > 0 else 0.0,
        tokens_used=sum(row.tokens_in + row.tokens_out for row in rows),
        cost=usd(sum(row.cost_pico for row in rows)),
        memory_usage=memory_mb(),
        error_rate=(len(rows) - len(answered)) / len(rows) if rows else 0.0,
    )


def sealed(attempt: SessionAttempt, rows: Sequence[Row], wanted: int) -> SealedScores:
    """The benchmark of one program as aligned arrays."""
    groups = {example.id: example.group for example in attempt.problem.split.test}
    grouped = any(groups.values())
    return SealedScores(
        example_ids=tuple(row.example_id for row in rows),
        scores=tuple(row.score.value for row in rows),
        latencies_ms=tuple(row.latency_us / 1000 for row in rows),
        costs_usd=tuple(usd(row.cost_pico) for row in rows),
        tokens=tuple(row.tokens_in + row.tokens_out for row in rows),
        qualities=tuple(quality_of(attempt, row) for row in rows),
        errors=tuple(row.error for row in rows),
        groups=tuple(groups.get(row.example_id) or row.example_id for row in rows) if grouped else (),
        complete=len(rows) == wanted,
    )


def memory_mb() -> float:
    """Resident memory of this process in MB; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * 4096 / 1e6


def _unanswered(row: Row) -> bool:
    """No answer came at all; an answer that could not be read has tokens."""
    return row.error is not None and row.tokens_out == 0


def _shown(row: Row) -> str:
    texts = [str(value) for name, value in row.answer.items() if name != "reasoning"]
    return "\n".join(texts)[:SHOWN_OUTPUT]
