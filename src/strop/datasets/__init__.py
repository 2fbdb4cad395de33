"""Examples from JSONL, CSV, JSON or memory: loaded, checked, split and fingerprinted."""

from strop.datasets.advice import Advice, advise
from strop.datasets.checks import Requirement, check, requirement, too_few
from strop.datasets.example import Dataset, Example
from strop.datasets.finding import Finding
from strop.datasets.labels import LabelsKind, labels_kind
from strop.datasets.load import load
from strop.datasets.split import Split, split

__all__ = [
    "Advice",
    "Dataset",
    "Example",
    "Finding",
    "LabelsKind",
    "Requirement",
    "Split",
    "advise",
    "check",
    "labels_kind",
    "load",
    "requirement",
    "split",
    "too_few",
]
