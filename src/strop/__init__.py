"""Strop keeps language-model programs sharp. Names are imported when they are first used, so this door stays cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strop.app import House, optimize
    from strop.datasets import Dataset, Example, Split, load, split
    from strop.errors import StropError
    from strop.evaluation import Evaluation, evaluate
    from strop.events import Event
    from strop.gateway import Gateway, ModelSettings
    from strop.metrics import Metric, Score
    from strop.pipeline import (
        CustomMetric,
        MetricType,
        OptimizationConstraints,
        OptimizationObjective,
        OptimizationPipeline,
        OptimizationRequest,
        OptimizationResult,
        PerformanceMetrics,
    )
    from strop.programs import ProgramSpec
    from strop.registry import Registry, Version
    from strop.runs import Plan, RunRecord, RunResult, TaskSpec, load_task
    from strop.sessions import (
        BenchmarkCollector,
        ModelConfig,
        ModelProvider,
        TrainingConfig,
        TrainingPhase,
        TrainingSession,
    )
    from strop.store import Store

    __version__: str

_ROOMS = {
    "app": ("House", "optimize"),
    "datasets": ("Dataset", "Example", "Split", "load", "split"),
    "errors": ("StropError",),
    "evaluation": ("Evaluation", "evaluate"),
    "events": ("Event",),
    "gateway": ("Gateway", "ModelSettings"),
    "metrics": ("Metric", "Score"),
    "pipeline": (
        "CustomMetric", "MetricType", "OptimizationConstraints", "OptimizationObjective", "OptimizationPipeline",
        "OptimizationRequest", "OptimizationResult", "PerformanceMetrics",
    ),
    "programs": ("ProgramSpec",),
    "registry": ("Registry", "Version"),
    "runs": ("Plan", "RunRecord", "RunResult", "TaskSpec", "load_task"),
    "sessions": (
        "BenchmarkCollector", "ModelConfig", "ModelProvider", "TrainingConfig", "TrainingPhase", "TrainingSession",
    ),
    "store": ("Store",),
}  # fmt: skip
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "BenchmarkCollector",
    "CustomMetric",
    "Dataset",
    "Evaluation",
    "Event",
    "Example",
    "Gateway",
    "House",
    "Metric",
    "MetricType",
    "ModelConfig",
    "ModelProvider",
    "ModelSettings",
    "OptimizationConstraints",
    "OptimizationObjective",
    "OptimizationPipeline",
    "OptimizationRequest",
    "OptimizationResult",
    "PerformanceMetrics",
    "Plan",
    "ProgramSpec",
    "Registry",
    "RunRecord",
    "RunResult",
    "Score",
    "Split",
    "Store",
    "StropError",
    "TaskSpec",
    "TrainingConfig",
    "TrainingPhase",
    "TrainingSession",
    "Version",
    "__version__",
    "evaluate",
    "load",
    "load_task",
    "optimize",
    "split",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("strop")
    elif name in _HOME:
        from importlib import import_module

        value = getattr(import_module(f"strop.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'strop' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
