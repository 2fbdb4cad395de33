"""One run: baseline, search, sealed test, version; resumable, with a verdict."""

from strop.runs.journal import Journal, RunRecord
from strop.runs.outcome import ledger_rows
from strop.runs.plan import Plan, importing_from, make_plan
from strop.runs.report import write_report
from strop.runs.runner import Runner, RunResult
from strop.runs.task import ModelSpec, TaskSpec
from strop.runs.taskfile import TaskFile, load_task

__all__ = [
    "Journal",
    "ModelSpec",
    "Plan",
    "RunRecord",
    "RunResult",
    "Runner",
    "TaskFile",
    "TaskSpec",
    "importing_from",
    "ledger_rows",
    "load_task",
    "make_plan",
    "write_report",
]
