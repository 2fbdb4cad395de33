"""One run: baseline, search, sealed test, version; resumable, with a verdict."""

from strop.runs.asked import full_model_name, shape_of, task_of
from strop.runs.guide import (
    OptimizationAnalytics,
    OptimizationConstraints,
    OptimizationObjective,
    OptimizationRequest,
    OptimizationResult,
    PerformanceMetrics,
)
from strop.runs.journal import Journal, RunRecord
from strop.runs.outcome import ledger_rows
from strop.runs.plan import Plan, importing_from, make_plan
from strop.runs.report import write_report
from strop.runs.runner import Runner, RunResult
from strop.runs.serving import LoadedModel, analytics, load, save
from strop.runs.task import ModelSpec, TaskSpec
from strop.runs.taskfile import TaskFile, load_task, read_settings
from strop.runs.told import notes_of, of_run, too_few
from strop.runs.trial import config_of, measure_only
from strop.runs.typical import TypicalCall

__all__ = [
    "Journal",
    "LoadedModel",
    "ModelSpec",
    "OptimizationAnalytics",
    "OptimizationConstraints",
    "OptimizationObjective",
    "OptimizationRequest",
    "OptimizationResult",
    "PerformanceMetrics",
    "Plan",
    "RunRecord",
    "RunResult",
    "Runner",
    "TaskFile",
    "TaskSpec",
    "TypicalCall",
    "analytics",
    "config_of",
    "full_model_name",
    "importing_from",
    "ledger_rows",
    "load",
    "load_task",
    "make_plan",
    "measure_only",
    "notes_of",
    "of_run",
    "read_settings",
    "save",
    "shape_of",
    "task_of",
    "too_few",
    "write_report",
]
