"""The six dimensions: documented weights, values by hand, and answers that must not be fooled."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.sessions.constraints import parse
from strop.sessions.plausibility import coherence, plausibility
from strop.sessions.quality import DIMENSIONS, WEIGHTS, QualityMetric, assess, mean_quality

SUBJECT = "wireless noise cancelling headphones with long battery life for commuters"
RULES = parse(["contains:battery", "contains:comfort", "min_length:60"])
GOOD = (
    "These headphones shut out the noise of the train and stay light on your ears all day. The battery lasts forty "
    "hours, so you charge them once a week. Soft pads bring comfort to every ride, and the wireless link never drops."
)
OTHER_GOOD = (
    "Put them on and the carriage goes quiet. With one charge the battery carries you through a week of travel, and "
    "the padded band keeps its comfort from the first stop to the last. The wireless pairing takes two seconds."
)
GIBBERISH = (
    "wireless noise cancelling headphones battery comfort commuters long life extraordinary revolutionary",
    "battery comfort battery comfort battery comfort battery comfort battery comfort battery comfort battery comfort",
    "Wireless cancelling headphones. Battery comfort commuters. Extraordinary unprecedented incomparable headphones!",
    "the of battery and in comfort is to headphones the wireless a of noise for the and commuters is in with the life",
    "xqzt brplk battery fnord comfort gliphop wuggle headphones blarg snorf wireless qwerty zxcvb noise plumbus",
    f"Write about {SUBJECT}. It must contain battery. It must contain comfort. {SUBJECT}",
    "wireless headphones battery comfort commuters cancelling noise",
    "wireless battery comfort " + "!" * 60,
)


def score(output: str, expected: str = "") -> float:
    found = QualityMetric(RULES, prompt=f"Write about {SUBJECT}. It must contain battery.").score(
        inputs={"input": SUBJECT}, expected={"output": expected}, answer={"output": output}, usage=None
    )
    assert found.value == pytest.approx(sum(WEIGHTS[name] * found.parts[name] for name in WEIGHTS))
    assert set(found.parts) == set(DIMENSIONS)
    return found.value


def test_the_weights_are_the_documented_ones():
    assert WEIGHTS == {"accuracy": 0.30, "coherence": 0.25, "relevance": 0.25, "diversity": 0.10, "creativity": 0.10}


@pytest.mark.parametrize("gibberish", GIBBERISH)
@pytest.mark.parametrize("good", [GOOD, OTHER_GOOD])
def test_gibberish_of_the_right_keywords_scores_below_a_correct_answer(gibberish, good):
    assert score(gibberish) < score(good) - 0.15


@pytest.mark.parametrize("gibberish", GIBBERISH)
def test_gibberish_also_loses_where_the_expected_output_is_known(gibberish):
    assert score(gibberish, expected=GOOD) < score(OTHER_GOOD, expected=GOOD) < score(GOOD, expected=GOOD)


def test_the_words_of_a_good_answer_thrown_together_nearly_always_lose():
    rng, words = random.Random(3), GOOD.replace(".", "").split()
    shuffled = [score(" ".join(rng.sample(words, len(words)))) for _ in range(100)]
    assert sum(each < score(GOOD) - 0.05 for each in shuffled) >= 95
    with_truth = [score(" ".join(rng.sample(words, len(words))), expected=GOOD) for _ in range(30)]
    assert max(with_truth) < score(GOOD, expected=GOOD) - 0.15


@settings(max_examples=60, deadline=None)
@given(
    right=st.text(st.characters(codec="utf-8"), min_size=1, max_size=200),
    wrong=st.text(st.sampled_from("wireless noise battery. comfort"), max_size=200),
)
def test_no_wrong_answer_outscores_a_right_one_once_a_metric_knows(right, wrong):
    """The promise of `assess`: .55 and more for accuracy 1, .5 and less for accuracy 0, whatever the words."""
    good, bad = assess(right, accuracy=1.0, subject=SUBJECT), assess(wrong, accuracy=0.0, subject=SUBJECT)
    assert 0.55 <= good.score <= 1.0
    assert 0.0 <= bad.score <= 0.5
    assert all(0 <= getattr(found, name) <= 1 for found in (good, bad) for name in DIMENSIONS)


@pytest.mark.parametrize("terse", ["42", "Paris", "yes", "3.14159", "{}", "東京"])
def test_a_right_terse_answer_is_a_good_answer(terse):
    found = assess(terse, accuracy=1.0, subject="What is the question about which nobody knows anything?")
    assert (found.accuracy, found.coherence, found.relevance) == (1.0, 1.0, 1.0)
    assert found.score >= 0.799
    assert assess(SUBJECT, accuracy=0.0, subject=SUBJECT).score < 0.4


def test_values_by_hand():
    """20 words, 18 of them different (`the` three times); 8 over five letters, 2 over eight; 1 of 2 subject words."""
    text = (
        "The keeper of the lighthouse wrote seven letters, folded them neatly, and posted the thickest before winter "
    )
    text += "came at last."
    found = assess(text, accuracy=0.5, subject="a lighthouse painter")
    assert found.accuracy == 0.5
    assert found.coherence == pytest.approx(1.0)
    assert found.relevance == pytest.approx(0.5)
    assert found.diversity == pytest.approx(0.5 * 18 / 20)
    assert found.creativity == pytest.approx(0.5 * 2 * 1 / 10)
    assert found.score == pytest.approx(0.3 * 0.5 + 0.25 * 1 + 0.25 * 0.5 + 0.1 * 0.45 + 0.1 * 0.1)


def test_uneven_sentences_cost_coherence_as_the_guide_says():
    """Two sentences of 11 and 181 characters: mean 96, variance 7,225, so .5 at most is taken."""
    short, filler = "It was cold", "They walked along the river and told each other stories of the town "
    long = (filler * 2 + "where they were born, and of the people who had left")[:181].strip()
    assert coherence(f"{short}. {short}.") == pytest.approx(1.0)
    lengths = [len(short), len(long)]
    variance = ((lengths[0] - lengths[1]) / 2) ** 2
    assert coherence(f"{short}. {long}.") == pytest.approx(
        plausibility(f"{short}. {long}.") * (1 - min(0.5, variance / 10_000))
    )
    assert coherence(f"{short}. {long}.") < 0.6


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Der Kopfhörer ist leicht und hält den ganzen Tag, weil der Akku sehr lange hält und nicht oft geladen wird.",
        "El auricular es ligero y dura todo el día, porque la batería no se tiene que cargar más de una vez por mes.",
        "彼は毎日学校に行きます。とても楽しいです。友達もたくさんいます。",
        "- Light on the ears\n- Lasts forty hours\n- Charges in ten minutes\n- Folds into a pocket",
        "```python\ndef add(a, b):\n    return a + b\n```",
        "def add(a, b):\n    return a + b",
        '{"label": "positive", "score": 0.9}',
    ],
)
def test_language_lists_code_and_data_are_plausible(text):
    assert plausibility(text) > 0.9


@pytest.mark.parametrize("text", [*GIBBERISH[:2], "", "   ", "?!?! ...", '{"text": "' + GIBBERISH[0] + '"}'])
def test_noise_is_not(text):
    assert plausibility(text) < 0.5


def test_constraints_decide_accuracy_where_nothing_else_does():
    metric = QualityMetric(RULES)
    half = metric.score(inputs={"input": SUBJECT}, expected={}, answer={"output": GOOD.replace("comfort", "ease")},
                        usage=None)  # fmt: skip
    assert half.parts["accuracy"] == pytest.approx(2 / 3)
    assert "breaks contains:comfort" in half.reason
    nothing = metric.score(inputs={"input": SUBJECT}, expected={}, answer={}, usage=None)
    assert nothing.value == 0.0
    assert dict(nothing.parts) == dict.fromkeys(DIMENSIONS, 0.0)


def test_an_expected_output_sets_the_accuracy():
    metric = QualityMetric(())
    assert metric.accuracy("Paris", {"output": "paris"}) == 1.0
    assert metric.accuracy("London", {"output": "paris"}) == 0.0
    # 4 of 4 words but in reverse: F1 of words 1, longest common subsequence 1 of 4.
    assert metric.accuracy("delta gamma beta alpha", {"output": "alpha beta gamma delta"}) == pytest.approx(0.625)


def test_means_of_several():
    one, two = (assess(text, accuracy=a, subject=SUBJECT) for text, a in ((GOOD, 1.0), ("", 0.0)))
    assert mean_quality([one, two]).score == pytest.approx((one.score + two.score) / 2)
    assert mean_quality([]).score == 0
