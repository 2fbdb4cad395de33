import random
from collections.abc import Iterable

import pytest

from strop.datasets import Dataset, Example, Finding, Split, check, load, split
from tests.datasets.dataset_samples import SECTIONS, clean_text, made, of


def found(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings}


def rows_of(data: Dataset) -> list[tuple[str, str]]:
    return [(example.inputs["text"], example.labels["label"]) for example in data]


def test_a_clean_set_is_silent() -> None:
    data = made(300)
    assert check(data, algorithm="simba") == ()
    assert check(split(data), algorithm="MIPROv2") == ()
    assert check(of((clean_text(n), clean_text(n + 500)) for n in range(60))) == ()


def test_the_real_part_is_clean_but_for_its_small_classes() -> None:
    data = load(SECTIONS, inputs=["description"], labels=["section"], id_field="id")
    findings = check(split(data), algorithm="miprov2")
    assert all(finding.level != "error" for finding in findings)
    assert set(found(findings)) <= {"imbalance", "single_example_label"}


@pytest.mark.parametrize(
    ("code", "seeded", "guilty"),
    [
        ("duplicates", [(clean_text(7), "class 1")], {"e7", "e90"}),
        ("near_duplicates", [(clean_text(7).title() + " !", "class 1")], {"e7", "e90"}),
        ("conflicting_labels", [(clean_text(7), "class 2")], {"e7", "e90"}),
        ("empty_field", [("  ", "class 1")], {"e90"}),
        ("single_example_label", [(clean_text(200), "other")], {"e90"}),
        ("label_spelling", [(clean_text(200), "Class  1")], {"e90"}),
        ("imbalance", [(clean_text(200 + n), "class 9") for n in range(2)], set[str]()),
    ],
)
def test_every_seeded_defect_is_found(code: str, seeded: list[tuple[str, str]], guilty: set[str]) -> None:
    findings = found(check(of([*rows_of(made(90)), *seeded])))
    assert findings[code].level == "warning"
    assert set(findings[code].examples) == guilty
    assert findings[code].remedy
    also = {"conflicting_labels": {"duplicates"}, "label_spelling": {"single_example_label"}}
    assert set(findings) == {code} | also.get(code, set())


def test_an_overwhelming_class_is_named_with_what_it_scores() -> None:
    data = of((clean_text(n), "no" if n < 85 else "yes") for n in range(100))
    assert "always answering 'no' scores 85%" in found(check(data))["imbalance"].message
    assert "imbalance" not in found(check(of((clean_text(n), "no" if n < 75 else "yes") for n in range(100))))


def test_labels_that_train_lacks_are_named() -> None:
    rows = made(60).examples
    dev = [Example(id=e.id, inputs=e.inputs, labels={"label": "class 7"}) for e in rows[30:33]]
    cut = Split.of(*(Dataset(examples=tuple(part)) for part in (rows[:30], [*dev, *rows[33:45]], rows[45:])))
    finding = found(check(cut))["label_not_in_train"]
    assert "class 7" in finding.message
    assert set(finding.examples) == {"r30", "r31", "r32"}


@pytest.mark.parametrize("edit", [str, str.upper, lambda text: f"{text}!"])
@pytest.mark.parametrize("sets", [("train", "test"), ("train", "dev"), ("dev", "test")])
def test_duplicates_across_given_sets_are_refused(edit: type[str], sets: tuple[str, str]) -> None:
    rows = made(90).examples
    parts = {"train": list(rows[:30]), "dev": list(rows[30:60]), "test": list(rows[60:])}
    leaked = parts[sets[0]][4]
    parts[sets[1]].append(Example(id="leak", inputs={"text": edit(leaked.inputs["text"])}, labels=leaked.labels))
    findings = check(Split.of(*(Dataset(examples=tuple(part)) for part in parts.values())))
    assert [finding.level for finding in findings] == ["error"]
    assert findings[0].code == ("leak" if edit is str else "near_leak")
    assert "refused" in findings[0].message
    assert set(findings[0].examples) == {leaked.id, "leak"}


def test_the_same_row_in_two_files_is_refused() -> None:
    data = load([{"q": clean_text(n), "a": "x"} for n in range(40)], inputs=["q"], labels=["a"])
    cut = Split.of(data[:20], data[15:30], data[30:])
    finding = found(check(cut))["leak"]
    assert finding.level == "error"
    assert "5 examples" in finding.message


def test_our_own_split_never_leaks() -> None:
    rows = rows_of(made(120))
    doubled = rows + [(text.upper(), label) for text, label in random.Random(0).sample(rows, 40)] + rows[:20]
    for seed in range(5):
        assert not {"leak", "near_leak"} & set(found(check(split(of(doubled), seed=seed))))


@pytest.mark.parametrize(
    ("algorithm", "rows", "level"),
    [
        ("labeledfewshot", 1, None),
        ("BootstrapFewShot", 4, "warning"),
        ("bootstrap", 5, None),
        ("miprov2", 19, "error"),
        ("MIPROv2", 49, "warning"),
        ("mipro", 50, None),
        ("gepa", 9, "error"),
        ("gepa", 10, None),
        ("copro", 9, "error"),
        ("simba", 31, "error"),
        ("simba", 32, None),
        ("infer_rules", 9, "error"),
        ("bootstrap_random_search", 9, "error"),
        ("BootstrapFewShotWithRandomSearch", 10, None),
        ("auto", 1, None),
        (None, 1, None),
    ],
)
def test_too_few_for_the_algorithm(algorithm: str | None, rows: int, level: str | None) -> None:
    finding = found(check(made(rows), algorithm=algorithm)).get("too_few_examples")
    assert (finding.level if finding else None) == level


def test_what_counts_are_the_rows_that_the_search_gets() -> None:
    cut = split(made(70))  # 28 train, 21 dev
    assert found(check(cut, algorithm="miprov2"))["too_few_examples"].level == "warning"
    assert found(check(cut, algorithm="simba"))["too_few_examples"].level == "error"
    assert "too_few_examples" not in found(check(split(made(72)), algorithm="miprov2"))


def test_findings_of_the_split_are_told_too() -> None:
    assert "small_test" in found(check(split(made(20))))
    assert "no_test" in found(check(split(made(5))))
