import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.datasets import Dataset, Example, load
from strop.datasets.duplicates import SIMILAR, Partition, exact_clusters, levelled, similar
from tests.datasets.dataset_samples import SECTIONS, made, of


def clusters(data: Dataset) -> list[tuple[int, ...]]:
    return [cluster for cluster in similar(data.examples).clusters() if len(cluster) > 1]


def alike(one: str, other: str) -> bool:
    filler = [(example.inputs["text"], "x") for example in made(30)]
    return clusters(of([(one, "x"), *filler, (other, "x")])) == [(0, 31)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("turn-based strategy game.", "Turn based  strategy game"),
        ("This product is AMAZING!!!", "this product is amazing"),
        ("the parcel never arrived at my adress", "The parcel never arrived at my address."),
        ("Please reset the password of my account", "Please do reset the password of my account"),
        ("ﬁle manager", "file manager"),
        ("日本語の文章をここに書きます。", "日本語の文章をここに書きます"),
    ],
)
def test_near_duplicates_are_found(one: str, other: str) -> None:
    assert alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the sum of 12 and 30, in words?", "What is the sum of 12 and 31, in words?"),
        ("Compute the value of 12 + 30 exactly", "Compute the value of 12 * 30 exactly"),
        ("The temperature outside was -5 degrees", "The temperature outside was 5 degrees"),
        ("5.1", "51"),
        ("image files for xblast-tnt.", "level files for xblast-tnt."),
        ("What is the capital of France?", "What is the capital of Spain?"),
        ("🙂", "🙁"),
        ("!", "?"),
        ("", "a"),
    ],
)
def test_different_questions_are_not(one: str, other: str) -> None:
    assert not alike(one, other)


def test_one_passage_with_many_questions_is_many_examples() -> None:
    passage = "The tower was built in 1889 by the company of an engineer and stands on the bank of the river. " * 20
    rows = [
        Example(id=str(n), inputs={"context": passage, "question": made(5)[n].inputs["text"]}, labels={"answer": "x"})
        for n in range(5)
    ]
    assert clusters(Dataset(examples=tuple(rows))) == []


def test_a_shared_template_is_not_similarity() -> None:
    template = "You get a support ticket of our web shop. Read it with care and name the team that should answer: "
    rows = of((template * 5 + example.inputs["text"], "x") for example in made(200))
    assert clusters(rows) == []


def test_long_rows_are_compared_by_their_sketch() -> None:
    def words(seed: int) -> list[str]:
        letters = random.Random(seed)
        return ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(400)]

    one, other = words(5), words(6)
    edited = [*one[:150], "an", "inserted", "sentence", *one[160:]]
    assert clusters(of((" ".join(text), "x") for text in (one, edited, other, one[:200] + other[200:]))) == [(0, 1)]


def test_exact_clusters_look_at_inputs_only() -> None:
    assert exact_clusters(of([("a", "x"), ("b", "x"), ("a", "y"), ("A", "x")]).examples) == ((0, 2),)


def test_real_descriptions() -> None:
    data = load(SECTIONS, inputs=["description"], labels=["section"], id_field="id")
    assert clusters(data) == []


def reference(texts: list[str]) -> set[tuple[int, ...]]:
    """All pairs compared, with pieces as plain text."""
    pieces = [{text[at : at + 5] for at in range(max(len(text) - 5, 0) + 1)} for text in map(levelled, texts)]
    partition = Partition(len(texts))
    for one in range(len(texts)):
        for other in range(one):
            if len(pieces[one] & pieces[other]) >= SIMILAR * len(pieces[one] | pieces[other]):
                partition.join(one, other)
    return set(partition.clusters())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab ", min_size=1, max_size=14).filter(str.strip), max_size=9))
def test_the_index_finds_what_comparing_all_pairs_finds(texts: list[str]) -> None:
    # Nine rows are too few for a piece to count as template.
    assert set(similar(of((text, "x") for text in texts).examples).clusters()) == reference(texts)
