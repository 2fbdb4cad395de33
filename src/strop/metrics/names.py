"""The names by which people ask for a metric, so that every surface understands the same ones."""

from enum import StrEnum


class MetricType(StrEnum):
    """The metrics that a request can name."""

    ACCURACY = "accuracy"
    F1_SCORE = "f1_score"
    F1 = "f1_score"
    ROUGE_SCORE = "rouge_score"
    BLEU_SCORE = "bleu_score"
    EXACT_MATCH = "exact_match"
    LATENCY = "latency"
    COST = "cost"
    NDCG = "ndcg"
    MAP = "map"
    CUSTOM = "custom"


ALIASES: dict[str, tuple[str, dict[str, str | int]]] = {
    "acc": ("accuracy", {}),
    "em": ("exact_match", {}),
    "exactmatch": ("exact_match", {}),
    "f1_score": ("f1", {}),
    "token_f1": ("f1", {"average": "token"}),
    "f1_token": ("f1", {"average": "token"}),
    "macro_f1": ("f1", {"average": "macro"}),
    "f1_macro": ("f1", {"average": "macro"}),
    "rouge_score": ("rouge", {}),
    "rouge1": ("rouge", {"variant": "rouge1"}),
    "rouge_1": ("rouge", {"variant": "rouge1"}),
    "rouge2": ("rouge", {"variant": "rouge2"}),
    "rouge_2": ("rouge", {"variant": "rouge2"}),
    "rougel": ("rouge", {"variant": "rougeL"}),
    "rouge_l": ("rouge", {"variant": "rougeL"}),
    "bleu_score": ("bleu", {}),
    "chrf_score": ("chrf", {}),
    "chrf++": ("chrf", {"word_order": 2}),
    "ndcg_score": ("ndcg", {}),
    "mean_average_precision": ("map", {}),
    "average_precision": ("map", {}),
    "latency_s": ("latency", {}),
    "cost_usd": ("cost", {}),
}
"""Other spelling -> the metric's own name and the settings that the spelling implies."""


def spelled(name: str) -> str:
    """`name` in the one spelling that is looked up: lower case, words joined by underscores."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")
