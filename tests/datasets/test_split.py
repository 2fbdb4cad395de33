import gc
import random
import types
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.datasets import Dataset, Example, Split, load, split
from strop.errors import DataError, SettingsError
from tests.datasets.dataset_samples import SECTIONS, made, of

NAMES = ("train", "dev", "test")


def places(cut: Split) -> dict[str, str]:
    return {example.id: name for name, dataset in cut.sets() for example in dataset}


def sizes(cut: Split) -> tuple[int, ...]:
    return tuple(len(dataset) for _, dataset in cut.sets())


def codes(cut: Split) -> set[str]:
    return {finding.code for finding in cut.findings}


def renumbered(data: Dataset) -> Dataset:
    return Dataset(examples=tuple(Example(id=f"n{e.id}", inputs=e.inputs, labels=e.labels) for e in data))


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Up to 40 rows, with classes, groups and exact repetitions."""
    count = draw(st.integers(1, 40))
    pool = made(60, draw(st.integers(1, 5))).examples
    picks = draw(st.lists(st.integers(0, 59), min_size=count, max_size=count))
    groups = draw(st.lists(st.none() | st.sampled_from("abcde"), min_size=count, max_size=count))
    examples = (
        Example(id=f"x{n}", inputs=pool[pick].inputs, labels=pool[pick].labels, group=group)
        for n, (pick, group) in enumerate(zip(picks, groups, strict=True))
    )
    return Dataset(examples=tuple(examples))


shares = st.sampled_from(
    [(0.4, 0.3, 0.3), (0.2, 0.8, 0.0), (0.7, 0.0, 0.3), (0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.02, 0.49, 0.49)]
)


@settings(max_examples=50, deadline=None)
@given(
    data=datasets(),
    seed=st.integers(0, 5),
    share=shares,
    stratify=st.sampled_from(["auto", "label", None]),
    shuffle=st.randoms(),
)
def test_splits_are_disjoint_cover_and_know_no_row_order(
    data: Dataset, seed: int, share: tuple[float, float, float], stratify: str | None, shuffle: random.Random
) -> None:
    options: dict[str, Any] = dict(zip(NAMES, share, strict=True)) | {"seed": seed, "stratify": stratify}
    cut = split(data, **options)
    found = [example for _, dataset in cut.sets() for example in dataset]
    assert sorted(found, key=lambda e: e.id) == sorted(data, key=lambda e: e.id)

    shuffled = list(data)
    shuffle.shuffle(shuffled)
    again = split(Dataset(examples=tuple(shuffled)), **options)
    assert [e.id for _, d in again.sets() for e in d] == [e.id for e in found]
    assert again.fingerprint == cut.fingerprint

    place = places(cut)
    together: dict[str, str] = {}
    for example in data:
        for key in (f"group {example.group}" if example.group else example.id, f"text {example.inputs['text']}"):
            assert together.setdefault(key, place[example.id]) == place[example.id]
    for name, wanted in zip(NAMES, share, strict=True):
        if wanted == 0:
            assert name not in place.values()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, (1, 0, 0)), (3, (3, 0, 0)), (4, (2, 2, 0)), (5, (3, 2, 0)), (6, (2, 2, 2)), (7, (3, 2, 2)), (10, (4, 3, 3)),
     (60, (24, 18, 18)), (795, (317, 239, 239))],
)  # fmt: skip
def test_sizes_and_floors(rows: int, expected: tuple[int, ...]) -> None:
    cut = split(made(rows))
    assert sizes(cut) == expected
    assert ("no_test" in codes(cut)) == (rows < 6)
    assert ("small_test" in codes(cut)) == (6 <= rows < 32)
    assert ("no_dev" in codes(cut)) == (rows < 4)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(6, 60), classes=st.integers(1, 6), share=shares, seed=st.integers(0, 99))
def test_every_set_gets_its_floor(rows: int, classes: int, share: tuple[float, float, float], seed: int) -> None:
    cut = split(made(rows, classes), train=share[0], dev=share[1], test=share[2], seed=seed)
    assert all(size >= 2 for size, wanted in zip(sizes(cut), share, strict=True) if wanted)


def test_classes_are_spread_in_proportion() -> None:
    rows = made(200)
    data = of((rows[n].inputs["text"], "rare" if n % 20 == 0 else "b" if n % 3 else "a") for n in range(200))
    whole = Counter(e.labels["label"] for e in data)
    for seed in range(3):
        cut = split(data, seed=seed)
        for share, (_, dataset) in zip((0.4, 0.3, 0.3), cut.sets(), strict=True):
            counts = Counter(e.labels["label"] for e in dataset)
            assert all(abs(counts[label] - share * whole[label]) <= 1 for label in whole)
    plain = [Counter(e.labels["label"] for e in split(data, seed=s, stratify=None).test)["rare"] for s in range(6)]
    assert len(set(plain)) > 1


def test_seeds_differ() -> None:
    data = made(100)
    tests = [frozenset(e.id for e in split(data, seed=seed).test) for seed in range(5)]
    assert len(set(tests)) == 5
    assert max(len(a & b) for a in tests for b in tests if a != b) < 20


@pytest.mark.parametrize("classes", [1, 4, 12])
def test_added_rows_hardly_move_old_ones(classes: int) -> None:
    data = made(660, classes).examples
    before = places(split(Dataset(examples=data[:600])))

    def moved(count: int) -> int:
        after = places(split(Dataset(examples=data[:count])))
        return sum(after[identity] != name for identity, name in before.items())

    # One row shifts the seats of few classes by one; ten per cent more rows shift each boundary by sampling noise.
    assert moved(601) <= 6
    assert moved(660) <= 45


def test_near_duplicates_stay_together() -> None:
    base = made(60)
    twins = of((f"  {e.inputs['text'].upper()}!", "class 0") for e in base)
    data = Dataset(examples=(*base.examples, *renumbered(twins).examples))
    place = places(split(data))
    assert all(place[f"r{n}"] == place[f"ne{n}"] for n in range(60))


def test_a_group_that_is_too_large_is_said() -> None:
    rows = made(20).examples
    grouped = [
        Example(id=e.id, inputs=e.inputs, labels=e.labels, group="all" if n < 18 else None) for n, e in enumerate(rows)
    ]
    cut = split(Dataset(examples=tuple(grouped)))
    assert "groups_too_large" in codes(cut)
    assert len(cut.train) == 18


def test_given_sets_stay_and_missing_ones_are_cut_from_train() -> None:
    rows = made(100).examples
    train, dev, test = (Dataset(examples=part) for part in (rows[:60], rows[60:80], rows[80:]))
    given = Split.of(train, dev, test)
    assert (given.train, given.dev, given.test) == (train, dev, test)
    assert given.findings == ()

    with_dev = Split.of(train, dev)
    assert with_dev.dev == dev
    assert (len(with_dev.train), len(with_dev.test)) == (34, 26)
    assert {e.id for e in with_dev.train} | {e.id for e in with_dev.test} == {e.id for e in train}

    with_test = Split.of(train, test=test)
    assert with_test.test == test
    assert (len(with_test.train), len(with_test.dev)) == (34, 26)

    alone = Split.of(train, seed=3)
    assert places(alone) == places(split(train, seed=3))
    assert len({given.fingerprint, with_dev.fingerprint, with_test.fingerprint, alone.fingerprint}) == 4


def test_ids_that_mean_different_rows_in_two_files_are_refused() -> None:
    with pytest.raises(DataError, match="'e0' stands for two different examples"):
        Split.of(of([("one", "a")]), of([("two", "a")]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": 0.5, "dev": 0.3, "test": 0.3}, "add up to 1.1"),
        ({"train": 1.2, "dev": -0.2, "test": 0}, "is 1.2"),
        ({"train": 0, "dev": 0.5, "test": 0.5}, "train set is 0"),
        ({"stratify": "lable"}, "cannot stratify by 'lable': the labels are label"),
    ],
)
def test_settings_that_cannot_be_used(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        split(made(20), **options)
    with pytest.raises(DataError, match="no examples"):
        split(Dataset(examples=()))


def reachable(root: object) -> Iterator[object]:
    """Every object that can be reached from `root` without passing through code."""
    code = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
    seen: set[int] = set()
    todo: list[object] = [root]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, code):
            continue
        seen.add(id(item))
        yield item
        todo.extend(gc.get_referents(item))


def test_no_test_row_can_be_reached_from_train_or_dev() -> None:
    cut = split(load(SECTIONS, inputs=["description"], labels=["section"], id_field="id"))
    assert cut.fingerprint  # fills what is computed once and kept
    given = Split.of(cut.train, test=cut.test)
    for each in (cut, given):
        texts = {item for part in (each.train, each.dev) for item in reachable(part) if isinstance(item, str)}
        assert each.train[0].inputs["description"] in texts
        assert not texts & {text for row in each.test for text in (row.id, row.inputs["description"], row.origin)}
        assert not any(row.inputs["description"] in repr(each) for row in each.test)
