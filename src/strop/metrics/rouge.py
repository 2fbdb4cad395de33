"""ROUGE (Lin 2004) by the package rouge-score: overlap with a reference summary."""

from __future__ import annotations

import re
from typing import Any, Literal

from strop.errors import MissingExtra
from strop.metrics.labels import LabelMetric, LabelSettings
from strop.metrics.values import as_text, loose, references

_CJK = r"[\u3040-\u30ff\u3400-\u9fff]"
_WORD = re.compile(rf"{_CJK}|(?:(?!{_CJK})[^\W_])+")


class _UnicodeTokens:
    """Words of any script; Chinese and Japanese characters count one by one."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


class RougeSettings(LabelSettings):
    """Settings of `rouge`."""

    variant: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"] = "rougeL"
    """Single words, pairs of words, longest common subsequence, or the latter line by line."""
    measure: Literal["f1", "precision", "recall"] = "f1"
    """Which figure of the overlap is the score."""
    stemmer: bool = False
    """Whether `runs` matches `running` (Porter stemmer, English; rouge-score's tokenizer only)."""
    tokenizer: Literal["rouge-score", "unicode"] = "rouge-score"
    """rouge-score's own keeps ASCII letters and digits only, which is what published figures use."""


class Rouge(LabelMetric[RougeSettings]):
    """Overlap with the reference; the best of several."""

    name = "rouge"

    def __init__(self, settings: RougeSettings) -> None:
        super().__init__(settings)
        try:
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError as error:
            raise MissingExtra("metric 'rouge'", "metrics") from error
        tokens = _UnicodeTokens() if settings.tokenizer == "unicode" else None
        self._scorer: Any = RougeScorer([settings.variant], use_stemmer=settings.stemmer, tokenizer=tokens)

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """Equal texts score 1 even where the tokenizer or the pairs of `rouge2` find nothing to count."""
        text = as_text(got)
        wanted = references(expected, got)
        variant = self.settings.variant
        if loose(text) in {loose(reference) for reference in wanted}:
            return 1.0, f"{variant} 1.00: equal to the reference"
        found = [self._scorer.score(reference, text)[variant] for reference in wanted]
        attribute = "fmeasure" if self.settings.measure == "f1" else self.settings.measure
        best = max(found, key=lambda one: getattr(one, attribute))
        value = float(getattr(best, attribute))
        return value, f"{variant} {value:.2f} (precision {best.precision:.2f}, recall {best.recall:.2f})"
