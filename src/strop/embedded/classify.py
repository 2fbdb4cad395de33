"""Chooses one of several labels for a text: a vote of the instruction's words, the labels' names and the examples.

All evidence is in natural-log odds, so that temperature 1 samples from the vote. What depends on the prompt alone is
worked out once per prompt, what depends on the text is a few table look-ups per word.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np

from strop.embedded import chance, meaning
from strop.embedded.cues import read_cues
from strop.embedded.fields import Demo
from strop.embedded.meaning import Floats
from strop.embedded.personality import Personality
from strop.embedded.weights import WEIGHTS
from strop.embedded.words import features, numbers, stem, words

_LEANINGS = {
    "positive": "good great excellent love wonderful best happy perfect enjoy amazing pleased fine nice",
    "negative": "bad terrible awful hate worst poor sad broken disappointed boring horrible useless wrong",
}
_LABEL_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True, kw_only=True)
class Vote:
    """Scores per label in the labels' order, the winner's place, and the word that spoke loudest for it, if any."""

    scores: tuple[float, ...]
    winner: int
    because: str


@dataclass(frozen=True, kw_only=True)
class LabelReader:
    """A prompt's labels with everything the prompt says about them. Built by `study_labels`."""

    labels: tuple[str, ...]
    personality: Personality
    base: tuple[float, ...]
    """Evidence before anything is read: how often the examples show each label."""
    table: dict[str, list[float]]
    """Evidence per feature and label, from instructions and examples."""
    postings: dict[str, list[tuple[int, float]]]
    """Feature -> (example, weight), for the likeness to single examples."""
    demo_labels: tuple[int, ...]
    anchors: Floats | None
    """One row per label: the mean of the vectors of its name and cues."""
    demo_vectors: Floats | None
    measures: Floats | None
    """One row per example: its numbers, scaled; None when the examples are not rows of numbers."""
    scale: Floats | None

    def vote(self, text: str, noise: Random, sampling: Random | None, temperature: float) -> Vote:
        """The vote on one text; `sampling` is None for the most likely label."""
        read = features(text, self.personality.bigrams, self.personality.char_grams)
        scores = list(self.base)
        loudest = [(0.0, "")] * len(scores)
        for feature, weight in read:
            rows = [row for row in (self.table.get(feature), name_row(self.labels, feature)) if row is not None]
            for row in rows:
                for place, value in enumerate(row):
                    scores[place] += weight * value
                    if weight * value > loudest[place][0]:
                        loudest[place] = (weight * value, feature)
        self._add_likeness(scores, read)
        self._add_meaning(scores, text)
        self._add_measures(scores, text)
        scores = [score + noise.gauss(0.0, self.personality.noise) for score in scores]
        if sampling is not None and temperature > 0:
            drawn = [score + temperature * chance.gumbel(sampling) for score in scores]
        else:
            drawn = scores
        winner = max(range(len(drawn)), key=drawn.__getitem__)
        return Vote(scores=tuple(scores), winner=winner, because=loudest[winner][1].lstrip("#").replace("_", " "))

    def _add_likeness(self, scores: list[float], read: Sequence[tuple[str, float]]) -> None:
        if not self.postings:
            return
        similar: dict[int, float] = {}
        length = 0.0
        for feature, weight in read:
            length += weight * weight
            for demo, share in self.postings.get(feature, ()):
                similar[demo] = similar.get(demo, 0.0) + weight * share
        votes = [0.0] * len(scores)
        for demo, value in similar.items():
            votes[self.demo_labels[demo]] += (value * value) / (length or 1.0)
        total = sum(votes) + WEIGHTS.likeness_doubt
        for place, value in enumerate(votes):
            scores[place] += WEIGHTS.likeness * value / total

    def _add_meaning(self, scores: list[float], text: str) -> None:
        trust = self.personality.vector_weight
        if not trust:
            return
        if self.anchors is not None:
            rows = meaning.word_rows(text)
            if len(rows):
                close = rows @ self.anchors.T
                spread = close - close.mean(axis=1, keepdims=True)
                told = (spread * np.maximum(close.max(axis=1, keepdims=True), 0)).sum(axis=0) / math.sqrt(len(rows))
                for place, value in enumerate(told.tolist()):
                    scores[place] += WEIGHTS.meaning * trust * value
        if self.demo_vectors is not None:
            near = np.maximum(self.demo_vectors @ meaning.text_vector(text), 0) ** 8
            votes = [0.0] * len(scores)
            for demo, value in enumerate(near.tolist()):
                votes[self.demo_labels[demo]] += value
            total = sum(votes) + WEIGHTS.meaning_doubt
            for place, value in enumerate(votes):
                scores[place] += WEIGHTS.demo_meaning * trust * value / total

    def _add_measures(self, scores: list[float], text: str) -> None:
        if self.measures is None or self.scale is None:
            return
        seen = numbers(text)
        if len(seen) != self.measures.shape[1]:
            return
        apart = (((np.asarray(seen, dtype=np.float32) / self.scale) - self.measures) ** 2).sum(axis=1)
        nearest = np.argsort(apart, kind="stable")[: WEIGHTS.neighbours]
        for demo in nearest.tolist():
            scores[self.demo_labels[demo]] += WEIGHTS.measures / (0.3 + math.sqrt(float(apart[demo]))) / len(nearest)


def study_labels(
    labels: tuple[str, ...],
    instructions: str,
    topic: str,
    shown: Sequence[tuple[Demo, int]],
    personality: Personality,
) -> LabelReader:
    """A reader of these labels. `topic`, the field's name and description, speaks for True where labels are flags.

    Only the last `demos_seen` of the examples `shown` (with the place of their label) are taken in.
    """
    shown = shown[-personality.demos_seen :] if personality.demos_seen else []
    count = len(labels)
    table: dict[str, list[float]] = {}
    cues = {label: dict(found) for label, found in read_cues(instructions, labels, personality.cue_words).items()}
    for label, known in _given_words(labels, topic).items():
        for root in known:
            cues[label].setdefault(root, WEIGHTS.given)
    for place, label in enumerate(labels):
        for root, weight in cues[label].items():
            table.setdefault(root, [0.0] * count)[place] += WEIGHTS.cue * weight
    read = [features(demo.text, personality.bigrams, personality.char_grams) for demo, _ in shown]
    places = tuple(place for _, place in shown)
    _add_counts(table, read, places, count)
    frequency = Counter(places)
    base = [WEIGHTS.prior * math.log((frequency[place] + 1.0) / (len(shown) / count + 1.0)) for place in range(count)]
    if set(labels) == {"True", "False"}:
        base[labels.index("False")] += WEIGHTS.doubt_true
    measures, scale = _measure([demo for demo, _ in shown])
    return LabelReader(
        labels=labels,
        personality=personality,
        base=tuple(base),
        table=table,
        postings=_post(read),
        demo_labels=places,
        anchors=_anchors(labels, cues) if personality.vector_weight else None,
        demo_vectors=(
            np.stack([meaning.text_vector(demo.text) for demo, _ in shown])
            if shown and personality.vector_weight
            else None
        ),
        measures=measures,
        scale=scale,
    )


def _given_words(labels: tuple[str, ...], topic: str) -> dict[str, list[str]]:
    """The little that is known before reading: words of mood, and that a flag is about what its name says."""
    given: dict[str, list[str]] = {}
    for label in labels:
        for leaning, known in _LEANINGS.items():
            if label.lower().startswith(leaning[:3]) or leaning in label.lower():
                given[label] = [stem(word) for word in known.split()]
    if "True" in labels:
        given["True"] = [stem(word) for part in words(topic) for word in _LABEL_PARTS.findall(part)]
    return given


@lru_cache(maxsize=65_536)
def name_row(labels: tuple[str, ...], feature: str) -> tuple[float, ...] | None:
    """How a word speaks for labels by their names: whole stems, or a name inside a longer word; None for no label."""
    if "_" in feature or feature.startswith("#"):
        return None
    row = tuple(_named(label, feature) for label in labels)
    return row if any(row) else None


def _named(label: str, word: str) -> float:
    parts = [stem(part) for part in _LABEL_PARTS.findall(label)]
    best = 0.0
    for part in parts:
        if len(part) < 2 or part in {"true", "fals"}:
            continue
        if part == word:
            best = max(best, 1.0)
        elif len(part) >= 3 and (word.endswith(part) or word.startswith(part)):
            best = max(best, WEIGHTS.name_inside)
    return WEIGHTS.name * best / math.sqrt(max(1, len(parts)))


def _add_counts(
    table: dict[str, list[float]], read: Sequence[Sequence[tuple[str, float]]], places: Sequence[int], count: int
) -> None:
    """Adds log(p(label | feature) x labels), p shrunk to even chances by one imagined example."""
    seen: dict[str, Counter[int]] = {}
    per_label = Counter(places)
    for found, place in zip(read, places, strict=True):
        for feature, _ in found:
            seen.setdefault(feature, Counter())[place] += 1
    trust = WEIGHTS.counts * len(read) / (len(read) + WEIGHTS.counts_doubt)
    even = len(read) / max(1, len(per_label))
    for feature, by_label in seen.items():
        fair = [by_label[place] * even / max(1, per_label[place]) for place in range(count)]
        total = sum(fair) + WEIGHTS.imagined
        row = table.setdefault(feature, [0.0] * count)
        for place in range(count):
            row[place] += trust * math.log((fair[place] + WEIGHTS.imagined / count) / total * count)


def _post(read: Sequence[Sequence[tuple[str, float]]]) -> dict[str, list[tuple[int, float]]]:
    frequency = Counter(feature for found in read for feature, _ in found)
    rarity = {feature: math.log(1 + len(read) / times) for feature, times in frequency.items()}
    postings: dict[str, list[tuple[int, float]]] = {}
    for demo, found in enumerate(read):
        length = math.sqrt(sum((weight * rarity[feature]) ** 2 for feature, weight in found)) or 1.0
        for feature, weight in found:
            postings.setdefault(feature, []).append((demo, weight * rarity[feature] / length))
    return postings


def _anchors(labels: Sequence[str], cues: dict[str, dict[str, float]]) -> Floats | None:
    rows: list[Floats] = []
    for label in labels:
        name = meaning.text_vector(" ".join(_LABEL_PARTS.findall(label)))
        told = meaning.text_vector(" ".join(root for root, weight in cues[label].items() if weight > 0))
        rows.append(meaning.unit(np.add(name, told * WEIGHTS.anchor_cues, dtype=np.float32)))
    anchors = np.stack(rows)
    return anchors if anchors.any() else None


def _measure(demos: Sequence[Demo]) -> tuple[Floats | None, Floats | None]:
    rows = [numbers(demo.text) for demo in demos]
    if len(rows) < 3 or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        return None, None
    measures = np.asarray(rows, dtype=np.float32)
    scale = measures.std(axis=0)
    scale[scale == 0] = 1
    return measures / scale, scale
