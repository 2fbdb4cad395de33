"""Measures a program on examples in parallel and remembers every score."""

from strop.evaluation.evaluation import Evaluation, Row
from strop.evaluation.evaluator import Progress, answer_and_score, answer_of, evaluate, partial_of, usage_of

__all__ = ["Evaluation", "Progress", "Row", "answer_and_score", "answer_of", "evaluate", "partial_of", "usage_of"]
