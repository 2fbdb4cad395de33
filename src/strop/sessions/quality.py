"""How good an output is: six dimensions with the guide's weights, and the metric of a session that has no other.

The guide's own formulas give keyword gibberish 1.0 and a correct answer .705. Here the other dimensions count only as
far as the answer is right (where a task metric or an expected output says so) or can be an answer at all (where
nothing does): see `assess`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from strop.metrics import Judged, Score, Usage
from strop.sessions.constraints import Constraint, broken, kept_share
from strop.sessions.plausibility import coherence, plausibility, words_of
from strop.sessions.result import QualityMetrics

WEIGHTS = {"accuracy": 0.30, "coherence": 0.25, "relevance": 0.25, "diversity": 0.10, "creativity": 0.10}
DIMENSIONS = ("score", *WEIGHTS)
SUBJECT_WORDS = 12
"""An output that takes up so many words of its subject is as relevant as one that takes up all of a long one."""
WINDOW = 50
NEW_WORDS_WANTED = 0.25
"""Share of an output's longer words that it must bring itself: repeating what was given is no answer."""
_ENDING = re.compile(r"(?:'s|ing|ed|es|s)$")
_LONGEST_COMPARED = 400


def assess(output: str, *, accuracy: float, subject: str, given: str = "", proven: bool = True) -> QualityMetrics:
    """The six dimensions of one output, each in 0..1. `subject` is the text that the output should be about.

    `proven` says that `accuracy` comes from a task metric or an expected output. Then a right answer is relevant by
    definition, and diversity and creativity count as far as it is right; so every answer of accuracy 1 scores .55 or
    more and every one of accuracy 0 .5 or less, whatever words it is made of. Otherwise accuracy is the share of rules
    kept, and all dimensions count as far as the output is plausible and says more than it was given (`given`: the
    prompt and the keywords of the rules).
    """
    words = words_of(output)
    flow = coherence(output)
    new = _newness(words, f"{subject} {given}")
    worth = accuracy if proven else plausibility(output) * new
    overlap = _overlap(words, subject) * new * flow
    parts = {
        "accuracy": accuracy if proven else accuracy * worth,
        "coherence": flow if proven else min(flow, worth),
        "relevance": max(accuracy, overlap) if proven else overlap,
        "diversity": _diversity(words) * worth,
        "creativity": _creativity(words) * worth,
    }
    return QualityMetrics(score=_unit(sum(WEIGHTS[name] * value for name, value in parts.items())), **parts)


def mean_quality(found: Sequence[QualityMetrics]) -> QualityMetrics:
    """The means of several; all 0 without any."""
    if not found:
        return QualityMetrics(score=0, accuracy=0, coherence=0, relevance=0, diversity=0, creativity=0)
    return QualityMetrics(**{name: _unit(fmean(getattr(one, name) for one in found)) for name in DIMENSIONS})


class QualityMetric:
    """The metric of a session by prompt and signature: the quality score of the output field.

    Accuracy is the share of the constraints kept, times the likeness to the expected output where an example has one.
    Without one it is a floor, not a judge: it knows what cannot be an answer, not what is right.
    """

    name = "quality"
    binary = False

    def __init__(self, constraints: Sequence[Constraint], *, prompt: str = "", judge: str | None = None) -> None:
        """`prompt` is what the models are told: an output that only repeats it is no answer. `judge` names the model
        that is asked about rules in plain words."""
        self.constraints = tuple(constraints)
        self._judge = judge if any(rule.judged for rule in self.constraints) else None
        rules = (rule.text.partition(":") for rule in self.constraints)
        keywords = (value for kind, _, value in rules if kind.strip().lower() == "contains")
        self._given = " ".join((prompt, *keywords))

    def score(
        self,
        *,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        answer: Mapping[str, Any],
        usage: Usage | None,  # noqa: ARG002 - quality does not depend on what it cost
    ) -> Score:
        """Score one output."""
        output, wanted = str(answer.get("output", "")), str(expected.get("output") or "")
        accuracy = self.accuracy(output, expected)
        found = assess(
            output, accuracy=accuracy, subject=str(inputs.get("input", "")), given=self._given, proven=bool(wanted)
        )
        reason = f"quality {found.score:.3f}, accuracy {found.accuracy:.3f}"
        if rules := broken(self.constraints, output):
            reason += f"; breaks {'; '.join(text[:180] for text in rules[:3])}"
        return Score(value=found.score, reason=reason, parts={name: getattr(found, name) for name in DIMENSIONS})

    def accuracy(self, output: str, expected: Mapping[str, Any]) -> float:
        """Constraints kept, times likeness to the expected output where there is one."""
        share = kept_share(self.constraints, output)
        wanted = str(expected.get("output") or "")
        return share * _likeness(output, wanted) if share and wanted else share

    def summary(self, rows: Sequence[Judged]) -> float:
        """Mean of the scores."""
        return fmean(row.score.value for row in rows)

    def identity(self) -> dict[str, Any]:
        """What the fingerprint is made of."""
        asked = {} if self._judge is None else {"judge": self._judge}
        rules = [rule.text for rule in self.constraints]
        return {"name": self.name, "constraints": rules, "given": self._given, **asked}


def _newness(words: Sequence[str], given: str) -> float:
    """1 when at least a quarter of the longer words are the output's own, 0 for an echo."""
    longer = [_stem(word) for word in words if len(word) > 3]
    if len(words) < 4 or not longer:
        return 1.0
    known = {_stem(word) for word in words_of(given)}
    return min(1.0, sum(word not in known for word in longer) / len(longer) / NEW_WORDS_WANTED)


def _overlap(words: Sequence[str], subject: str) -> float:
    """Share of the subject's longer words that are taken up; 1 when the subject has none."""
    wanted = {_stem(word) for word in words_of(subject) if len(word) > 3}
    found = {_stem(word) for word in words}
    return min(1.0, len(wanted & found) / min(len(wanted), SUBJECT_WORDS)) if wanted else 1.0


def _diversity(words: Sequence[str]) -> float:
    """Different words in a window of 50, averaged over the text: the plain share falls with length (MATTR, Covington &
    McFall 2010). Under 20 words there is little to see, and the share is taken of 20."""
    if len(words) <= WINDOW:
        return len(set(words)) / max(len(words), 20)
    windows = [words[at : at + WINDOW] for at in range(0, len(words) - WINDOW + 1, 5)]
    return fmean(len(set(window)) / WINDOW for window in windows)


def _creativity(words: Sequence[str]) -> float:
    """Twice the share of words over 8 letters among those over 5 (the guide's formula), of at least 10 of these."""
    middling = [word for word in words if len(word) > 5]
    return min(1.0, 2 * len({word for word in middling if len(word) > 8}) / max(len(middling), 10))


def _likeness(output: str, wanted: str) -> float:
    """Mean of the F1 of words and the F1 of their longest common subsequence, so that order counts; a long output must
    be plausible besides."""
    from strop.metrics import build

    found = build("f1").score(inputs={}, expected={"output": wanted}, answer={"output": output}, usage=None).value
    a, b = output.lower().split()[:_LONGEST_COMPARED], wanted.lower().split()[:_LONGEST_COMPARED]
    if len(b) < 4:
        return found
    ordered = 2 * _common(a, b) / (len(a) + len(b)) if a else 0.0
    return (found + max(ordered, float(found == 1.0 and a == b))) / 2


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for one in a:
        before = 0
        for at, other in enumerate(b, 1):
            before, row[at] = row[at], before + 1 if one == other else max(row[at], row[at - 1])
    return row[-1]


def _stem(word: str) -> str:
    """The word without its commonest English endings, where enough is left of it."""
    cut = _ENDING.sub("", word)
    return cut if len(cut) >= 4 else word


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
