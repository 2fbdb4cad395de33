"""F1 in its two meanings: overlap of words in one answer, and balance over the classes of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal

from strop.metrics.labels import LabelMetric, LabelSettings, columns
from strop.metrics.match import Accuracy, AccuracySettings, squad
from strop.metrics.metric import Judged
from strop.metrics.values import as_text, loose, references, same


class F1Settings(LabelSettings):
    """Settings of `f1`."""

    average: Literal["token", "macro"] = "token"
    """`token`: overlap of words within each answer, then the mean. `macro`: F1 of each class, then their mean."""
    empty_match: bool = True
    """token: whether two texts without words score 1 (SQuAD 2.0) or 0 (SQuAD 1.1, DSPy)."""
    classes: Literal["expected", "seen"] = "expected"
    """macro: average over the classes that occur as labels, or also over those that only answers named.

    `seen` is scikit-learn's default; with free text from a model each stray answer then counts as a class with F1 of 0.
    """


class TokenF1(LabelMetric[F1Settings]):
    """Harmonic mean of precision and recall of words, after SQuAD's normalisation; the best of several references."""

    name = "f1"

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """Counts words with repetition, as SQuAD does."""
        found = Counter(squad(as_text(got)).split())
        wanted = [Counter(squad(text).split()) for text in references(expected, got)]
        value, shared, words = max((self._f1(reference, found), (reference & found).total(), reference.total())
                                   for reference in wanted)  # fmt: skip
        return value, f"{shared} of {words} expected words, {found.total()} given"

    def _f1(self, wanted: Counter[str], found: Counter[str]) -> float:
        if not wanted or not found:
            return float(self.settings.empty_match and wanted == found)
        return 2 * (wanted & found).total() / (wanted.total() + found.total())


class MacroF1(LabelMetric[F1Settings]):
    """Right or wrong for each example; over the set, the mean of the classes' F1.

    Several label fields: the mean of their figures. A missing answer is a miss for its class and a hit for none.
    """

    name = "f1"
    binary = True

    def __init__(self, settings: F1Settings) -> None:
        super().__init__(settings)
        self._accuracy = Accuracy(AccuracySettings())

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """As accuracy."""
        return self._accuracy.compare(expected, got)

    def summary(self, rows: Sequence[Judged]) -> float:
        """Macro F1."""
        return fmean(self._macro(pairs) for pairs in columns(self.name, rows, self.settings.field))

    def _macro(self, pairs: list[tuple[Any, Any]]) -> float:
        spellings = {loose(as_text(expected)): expected for expected, _ in pairs}
        labels = Counter[str]()
        answers = Counter[str]()
        hits = Counter[str]()
        for expected, got in pairs:
            label = loose(as_text(expected))
            labels[label] += 1
            if got is None:
                continue
            if same(expected, got):
                answer = label
            else:
                text = loose(as_text(got))
                answer = text if text in spellings else next((k for k, v in spellings.items() if same(v, got)), text)
            answers[answer] += 1
            hits[answer] += answer == label
        classes = labels if self.settings.classes == "expected" else labels | answers
        return fmean(2 * hits[name] / (labels[name] + answers[name]) for name in classes)


def f1(settings: F1Settings) -> TokenF1 | MacroF1:
    """The F1 that `average` asks for."""
    return TokenF1(settings) if settings.average == "token" else MacroF1(settings)
