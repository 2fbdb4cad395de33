"""Coding agents' histories become examples; a prompt that learnt from them becomes an agent's file."""

from strop.agents.archive import Added, AgentArchive, Chosen, Counts
from strop.agents.config import AgentConfig, ConfigFile, in_words_of, load_config, need_config
from strop.agents.example import AgentExample
from strop.agents.importing import ImportReport, Wanted, import_history, parse_since
from strop.agents.injection import Flag
from strop.agents.installing import Choice, Installation, install, installed, uninstall
from strop.agents.judging import Asked, Asking, Judged, ask, estimate
from strop.agents.labels import Labels, load_labels
from strop.agents.listed import list_file, remember, remembered
from strop.agents.outcome import Evidence, Judge, Outcome, derive
from strop.agents.parity import Parity
from strop.agents.places import INSTALL_CLIENTS, Place, place_of
from strop.agents.preparing import Prepared, PrepareSettings, prepare
from strop.agents.project import (
    Winner,
    baseline_only,
    changed,
    judge_model,
    parity_of,
    prepare_settings,
    read_and_prepare,
    read_logs,
    winner,
)
from strop.agents.provenance import provenance_of
from strop.agents.redaction import Redaction, Sample
from strop.agents.sources import found_stores
from strop.agents.training import Trained, agent_name, next_steps, task_name, task_of, train, write_program_data
from strop.agents.transcript import Refusal, Step, Transcript, Turn, Usage
from strop.agents.watching import Arrived, Watched, WatchPlan, install_plugin, watch

__all__ = [
    "INSTALL_CLIENTS",
    "Added",
    "AgentArchive",
    "AgentConfig",
    "AgentExample",
    "Arrived",
    "Asked",
    "Asking",
    "Choice",
    "Chosen",
    "ConfigFile",
    "Counts",
    "Evidence",
    "Flag",
    "ImportReport",
    "Installation",
    "Judge",
    "Judged",
    "Labels",
    "Outcome",
    "Parity",
    "Place",
    "PrepareSettings",
    "Prepared",
    "Redaction",
    "Refusal",
    "Sample",
    "Step",
    "Trained",
    "Transcript",
    "Turn",
    "Usage",
    "Wanted",
    "WatchPlan",
    "Watched",
    "Winner",
    "agent_name",
    "ask",
    "baseline_only",
    "changed",
    "derive",
    "estimate",
    "found_stores",
    "import_history",
    "in_words_of",
    "install",
    "install_plugin",
    "installed",
    "judge_model",
    "list_file",
    "load_config",
    "load_labels",
    "need_config",
    "next_steps",
    "parity_of",
    "parse_since",
    "place_of",
    "prepare",
    "prepare_settings",
    "provenance_of",
    "read_and_prepare",
    "read_logs",
    "remember",
    "remembered",
    "task_name",
    "task_of",
    "train",
    "uninstall",
    "watch",
    "winner",
    "write_program_data",
]
