"""ROUGE, BLEU and chrF against the packages that define them."""

import random
import sys
from typing import Any

import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from strop.errors import MissingExtra
from strop.metrics import Judged, Metric, build

WORDS = [
    *("the", "quick", "brown", "foxes", "were", "running", "over", "3"),
    *("lazy", "dogs,", "and", "then", "Jumped", "back", "again."),
]


def sentences(seed: int, n: int = 12) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    found: list[tuple[str, str]] = []
    for _ in range(n):
        wanted = rng.choices(WORDS, k=rng.randint(3, 12))
        got = [rng.choice(WORDS) if rng.random() < 0.3 else word for word in wanted][: rng.randint(2, 12)]
        found.append((" ".join(wanted), " ".join(got)))
    return found


def score(metric: Metric, expected: Any, answer: Any) -> float:
    return metric.score(inputs={}, expected={"y": expected}, answer={"y": answer}, usage=None).value


def rows(metric: Metric, pairs: list[tuple[Any, str]]) -> list[Judged]:
    return [
        Judged(
            expected={"y": wanted},
            answer={"y": got},
            score=metric.score(inputs={}, expected={"y": wanted}, answer={"y": got}, usage=None),
        )
        for wanted, got in pairs
    ]


@pytest.mark.parametrize("variant", ["rouge1", "rouge2", "rougeL", "rougeLsum"])
@pytest.mark.parametrize("stemmer", [False, True])
@pytest.mark.parametrize("measure", ["f1", "precision", "recall"])
def test_rouge_equals_rouge_score(variant: str, stemmer: bool, measure: str):
    metric = build({"name": "rouge", "variant": variant, "stemmer": stemmer, "measure": measure})
    oracle = RougeScorer([variant], use_stemmer=stemmer)
    for wanted, got in sentences(1):
        reference = oracle.score(wanted, got)[variant]
        value = reference.fmeasure if measure == "f1" else getattr(reference, measure)
        assert score(metric, wanted, got) == pytest.approx(1.0 if wanted == got else value)


def test_rouge_by_hand():
    assert score(build("rouge_score"), "police killed the gunman", "police kill the gunman") == pytest.approx(0.75)
    assert score(build("rouge2"), "police killed the gunman", "the gunman kill police") == pytest.approx(1 / 3)
    assert score(build("rougeL"), ["x y", "a b"], "a b c d") == pytest.approx(2 / 3)


def test_rouge_reads_other_scripts_when_told():
    assert score(build("rouge"), "кошка спит дома", "кошка ест дома") == 0
    metric = build({"name": "rouge", "tokenizer": "unicode"})
    assert score(metric, "кошка спит дома", "кошка ест дома") == pytest.approx(2 / 3)
    assert score(metric, "我爱北京", "我爱上海") == pytest.approx(0.5)
    for wanted, got in sentences(2):
        assert score(metric, wanted, got) == pytest.approx(score(build("rouge"), wanted, got))


def test_bleu_equals_sacrebleu_by_sentence_and_by_corpus():
    metric, pairs = build("bleu_score"), sentences(3)
    for wanted, got in pairs:
        reference = sacrebleu.sentence_bleu(got, [wanted], use_effective_order=True).score / 100
        assert score(metric, wanted, got) == pytest.approx(reference)
    corpus = sacrebleu.corpus_bleu([got for _, got in pairs], [[wanted for wanted, _ in pairs]]).score / 100
    judged = rows(metric, list(pairs))
    assert metric.summary(judged) == pytest.approx(corpus)
    assert corpus != pytest.approx(sum(row.score.value for row in judged) / len(judged), abs=1e-3)


def test_bleu_takes_different_numbers_of_references():
    metric = build("bleu")
    pairs = [(["a b c d e", "a b x d e"], "a b x d e f"), ("k l m n o", "k l m n")]
    reference = sacrebleu.corpus_bleu(["a b x d e f", "k l m n"], [["a b c d e", "k l m n o"], ["a b x d e", None]])
    assert metric.summary(rows(metric, pairs)) == pytest.approx(reference.score / 100)


@pytest.mark.parametrize("word_order", [0, 2])
def test_chrf_equals_sacrebleu(word_order: int):
    metric, pairs = build({"name": "chrf", "word_order": word_order}), sentences(4)
    for wanted, got in pairs:
        reference = sacrebleu.sentence_chrf(got, [wanted], word_order=word_order).score / 100
        assert score(metric, wanted, got) == pytest.approx(reference)
    corpus = sacrebleu.corpus_chrf([got for _, got in pairs], [[w for w, _ in pairs]], word_order=word_order).score
    assert metric.summary(rows(metric, list(pairs))) == pytest.approx(corpus / 100)


@pytest.mark.parametrize(
    ("name", "module"),
    [("rouge", "rouge_score.rouge_scorer"), ("bleu", "sacrebleu.metrics.bleu"), ("chrf", "sacrebleu.metrics.chrf")],
)
def test_a_missing_package_is_told_when_the_metric_is_built(name: str, module: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"metric '{name}' needs the extra \[metrics\]"):
        build(name)
