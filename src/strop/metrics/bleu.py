"""BLEU (Papineni et al. 2002) and chrF (Popović 2015) by the package sacrebleu: closeness to reference translations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from statistics import fmean
from typing import Any, Literal, TypeVar

from strop.errors import MissingExtra
from strop.metrics.labels import LabelMetric, LabelSettings, columns
from strop.metrics.metric import Judged, unit
from strop.metrics.values import as_text, loose, references


class BleuSettings(LabelSettings):
    """Settings of `bleu`."""

    tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a"
    """How text is cut into words; `zh` and `char` for languages without spaces."""
    lowercase: bool = False
    """Whether case is ignored."""


class ChrfSettings(LabelSettings):
    """Settings of `chrf`."""

    word_order: Literal[0, 1, 2] = 0
    """0 is chrF; 2, which also counts words and pairs of words, is chrF++."""
    lowercase: bool = False
    """Whether case is ignored."""


T = TypeVar("T", bound=LabelSettings)


class _Sacre(LabelMetric[T]):
    """Scores sentence by sentence, and sums up by the figure of the whole corpus."""

    def __init__(self, settings: T) -> None:
        super().__init__(settings)
        try:
            self._sentence, self._corpus = self._scorers()
        except ImportError as error:
            raise MissingExtra(f"metric {self.name!r}", "metrics") from error

    @abstractmethod
    def _scorers(self) -> tuple[Any, Any]:
        """sacrebleu's scorers for a sentence and for a corpus."""

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """Equal texts score 1, empty ones too, where sacrebleu would find nothing to count."""
        text = as_text(got)
        wanted = references(expected, got)
        if text.strip() in {reference.strip() for reference in wanted}:
            return 1.0, f"{self.name} 1.00: equal to the reference"
        value = float(self._sentence.sentence_score(text, wanted).score) / 100
        return value, f"{self.name} {value:.2f} against {clipped_reference(wanted)}"

    def summary(self, rows: Sequence[Judged]) -> float:
        """The corpus figure; several label fields: the mean of theirs."""
        return fmean(self._whole(pairs) for pairs in columns(self.name, rows, self.settings.field))

    def _whole(self, pairs: list[tuple[Any, Any]]) -> float:
        texts = [as_text(got) for _, got in pairs]
        wanted = [references(expected, got) for expected, got in pairs]
        if all(text.strip() in {r.strip() for r in refs} for text, refs in zip(texts, wanted, strict=True)):
            return 1.0
        width = max(len(refs) for refs in wanted)
        streams = [[refs[i] if i < len(refs) else None for refs in wanted] for i in range(width)]
        return unit(float(self._corpus.corpus_score(texts, streams).score) / 100)

    def identity(self) -> dict[str, Any]:
        """With sacrebleu's version, as its own signatures have it: a tokenizer may change with it."""
        return super().identity() | {"sacrebleu": version("sacrebleu")}


def clipped_reference(wanted: list[str]) -> str:
    """A few words that tell which reference was meant."""
    return f"{loose(wanted[0])[:40]!r}" + (f" and {len(wanted) - 1} more" if len(wanted) > 1 else "")


class Bleu(_Sacre[BleuSettings]):
    """Sentence BLEU with exponential smoothing and effective order; corpus BLEU in the summary."""

    name = "bleu"

    def _scorers(self) -> tuple[Any, Any]:
        from sacrebleu.metrics.bleu import BLEU

        def scorer(*, effective_order: bool) -> BLEU:
            # force: text that is already tokenized is not worth a warning on stderr
            kept = self.settings
            return BLEU(tokenize=kept.tokenize, lowercase=kept.lowercase, effective_order=effective_order, force=True)

        return scorer(effective_order=True), scorer(effective_order=False)


class Chrf(_Sacre[ChrfSettings]):
    """chrF of character 6-grams with beta 2; better than BLEU for short texts."""

    name = "chrf"

    def _scorers(self) -> tuple[Any, Any]:
        from sacrebleu.metrics.chrf import CHRF

        scorer = CHRF(word_order=self.settings.word_order, lowercase=self.settings.lowercase)
        return scorer, scorer
