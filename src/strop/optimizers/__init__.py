"""Algorithms that search for better programs, all behind one signature."""

from strop.optimizers.catalogue import find, max_calls_estimate, names, settings_of, written_calls_estimate
from strop.optimizers.optimizer import Brief, Candidate, Models, Note, Optimizer

__all__ = [
    "Brief",
    "Candidate",
    "Models",
    "Note",
    "Optimizer",
    "find",
    "max_calls_estimate",
    "names",
    "settings_of",
    "written_calls_estimate",
]
