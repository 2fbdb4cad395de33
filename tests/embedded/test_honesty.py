"""The models answer from the prompt: true words help, false ones hurt, idle ones do nothing, on items nobody showed."""

import random
from dataclasses import replace

import pytest

from strop.embedded import MODELS
from tests.embedded.requests_by_hand import Asking
from tests.embedded.task_families import Family, facts, measures, moods, topics

NAMES = [name.split("/")[1] for name in MODELS]
IDLE = """You are a world class expert and lives depend on your work. Take a deep breath. The committee met in the
morning and talked about the weather for a while before it went home. Our company was founded a long time ago and values
quality in everything that it does. Please keep in mind that every answer will be read by somebody important."""


def accuracy(family: Family, model: str, instruction: str | None = None, shown: int = 0) -> float:
    return Asking(family, model, instruction, family.train[:shown]).accuracy()


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("coded", [False, True])
def test_a_true_guide_helps_and_a_rotated_one_hurts(model: str, coded: bool) -> None:
    """Where the labels are codes or the model knows no words, a guide is worth over 20 points."""
    family = topics(21, coded=coded, telling=3)
    zero = accuracy(family, model)
    true = accuracy(family, model, family.guided(count=10))
    false = accuracy(family, model, family.guided(shift=1, count=10))
    assert true > 75
    assert true > (zero + 20 if coded or model == "small" else zero)
    assert false < min(zero, 40)
    if coded:
        assert false < 15


@pytest.mark.parametrize("model", NAMES)
def test_prose_that_says_the_same_as_a_guide_helps_too(model: str) -> None:
    family = topics(22, coded=True, telling=3)
    prose = " ".join(f"{label} handles {', '.join(words.split()[:8])}." for label, words in family.guide.items())
    assert accuracy(family, model, f"{family.instruction} {prose}") > accuracy(family, model) + 30


@pytest.mark.parametrize("model", NAMES)
def test_idle_words_move_the_score_by_a_few_points_at_most(model: str) -> None:
    for family in (topics(23), moods(23)):
        idle = accuracy(family, model, f"{family.instruction} {IDLE}")
        assert abs(idle - accuracy(family, model)) <= 8


@pytest.mark.parametrize("model", NAMES)
def test_demos_help_and_shuffled_labels_undo_it(model: str) -> None:
    family = topics(24, coded=True, telling=3)
    shown = min(64, MODELS[f"embedded/{model}"].demos_seen)
    train = family.train[:shown]
    answers = [item.answer for item in train]
    random.Random(1).shuffle(answers)
    shuffled = [replace(item, answer=answer) for item, answer in zip(train, answers, strict=True)]
    zero = accuracy(family, model)
    true = Asking(family, model, shown=train).accuracy()
    assert true > zero + 12
    assert Asking(family, model, shown=shuffled).accuracy() < true - 10


@pytest.mark.parametrize("model", NAMES)
def test_a_short_span_is_given_only_when_asked_for_or_shown(model: str) -> None:
    family = facts(25)
    assert accuracy(family, model) < 5
    assert accuracy(family, model, f"{family.instruction} Copy the exact short span.") > 45
    assert accuracy(family, model, shown=8) > 50


@pytest.mark.parametrize("model", NAMES)
def test_rows_of_numbers_are_learnt_from_demos(model: str) -> None:
    family = measures(26)
    assert accuracy(family, model) < 50
    assert accuracy(family, model, shown=16) > 65


def test_the_models_are_clearly_apart() -> None:
    family = topics(27, coded=True, telling=3)
    by_model = [accuracy(family, model, shown=100) for model in NAMES]
    assert by_model[0] + 5 < by_model[1]
    assert by_model[1] + 5 < by_model[2]
    prices = [one.input_usd_per_million for one in MODELS.values()]
    latencies = [one.latency_ms for one in MODELS.values()]
    assert prices == sorted(prices)
    assert latencies == sorted(latencies)


def test_without_the_word_vectors_the_models_know_no_words_and_still_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    family = topics(28, telling=3)
    knowing = accuracy(family, "large")
    monkeypatch.setenv("STROP_EMBEDDED_VECTORS", "off")
    zero = accuracy(family, "large")
    assert zero < knowing - 20
    assert accuracy(family, "large", family.guided(count=10)) > zero + 20
    monkeypatch.undo()
    assert accuracy(family, "large") == knowing
