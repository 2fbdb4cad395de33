"""Trains several models on one task under one budget: five phases, what won carried across, a decision at the end."""

from strop.sessions.collector import BenchmarkCollector
from strop.sessions.config import (
    DSPySignature,
    ModelConfig,
    ModelProvider,
    Signature,
    SignatureExample,
    TrainingConfig,
    TrainingPhase,
)
from strop.sessions.decision import Comparison, Ranked, examine
from strop.sessions.events import EVENTS, SessionEvent
from strop.sessions.hooks import FunctionHook, HookReport, hooking, parse_hook
from strop.sessions.hooks_claude_flow import ClaudeFlowHook
from strop.sessions.hooks_command import CommandHook
from strop.sessions.hooks_sink import recall
from strop.sessions.hooks_worker import Hook
from strop.sessions.journal import SessionJournal, SessionRecord
from strop.sessions.measures import TrainingMetrics, performance, training_metrics
from strop.sessions.planning import Forecast, ModelForecast, forecast
from strop.sessions.problem import Problem, from_prompt, from_task
from strop.sessions.recommending import Decision, decide
from strop.sessions.report import ReportFiles, write_reports
from strop.sessions.report_keeping import check_place
from strop.sessions.report_words import only_practice
from strop.sessions.result import (
    IterationResult,
    ModelResult,
    ModelStatistics,
    PerformanceMetrics,
    QualityMetrics,
    SealedScores,
    SessionResult,
    SessionStatistics,
    Transfer,
)
from strop.sessions.session import SpentSoFar, TrainingSession

__all__ = [
    "EVENTS",
    "BenchmarkCollector",
    "ClaudeFlowHook",
    "CommandHook",
    "Comparison",
    "DSPySignature",
    "Decision",
    "Forecast",
    "FunctionHook",
    "Hook",
    "HookReport",
    "IterationResult",
    "ModelConfig",
    "ModelForecast",
    "ModelProvider",
    "ModelResult",
    "ModelStatistics",
    "PerformanceMetrics",
    "Problem",
    "QualityMetrics",
    "Ranked",
    "ReportFiles",
    "SealedScores",
    "SessionEvent",
    "SessionJournal",
    "SessionRecord",
    "SessionResult",
    "SessionStatistics",
    "Signature",
    "SignatureExample",
    "SpentSoFar",
    "TrainingConfig",
    "TrainingMetrics",
    "TrainingPhase",
    "TrainingSession",
    "Transfer",
    "check_place",
    "decide",
    "examine",
    "forecast",
    "from_prompt",
    "from_task",
    "hooking",
    "only_practice",
    "parse_hook",
    "performance",
    "recall",
    "training_metrics",
    "write_reports",
]
