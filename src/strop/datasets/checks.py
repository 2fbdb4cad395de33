"""Looks for what spoils an optimisation before money is spent on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from strop.datasets.duplicates import exact_clusters, similar
from strop.datasets.example import Dataset, Example, canonical
from strop.datasets.finding import Finding
from strop.datasets.labels import label_field, label_text, labels_kind
from strop.datasets.split import Split

SHOWN = 6
"""Ids that a finding names."""

RATIO = 5
SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """Rows an algorithm needs (`minimum`) and works well with (`advised`), of its train rows or of train and dev."""

    minimum: int
    advised: int
    counts: Literal["train", "train and dev"] = "train and dev"


REQUIREMENTS = {
    "labeledfewshot": Requirement(minimum=1, advised=1, counts="train"),
    "bootstrapfewshot": Requirement(minimum=1, advised=5, counts="train"),
    "randomsearch": Requirement(minimum=10, advised=10),
    "copro": Requirement(minimum=10, advised=10),
    "miprov2": Requirement(minimum=20, advised=50),
    "gepa": Requirement(minimum=10, advised=10),
    # SIMBA draws minibatches of 32 train rows and refuses fewer.
    "simba": Requirement(minimum=32, advised=32, counts="train"),
    "inferrules": Requirement(minimum=10, advised=10),
}
ALIASES = {
    "mipro": "miprov2",
    "bootstrap": "bootstrapfewshot",
    "bootstraprandomsearch": "randomsearch",
    "bootstrapfewshotwithrandomsearch": "randomsearch",
}


def requirement(algorithm: str) -> Requirement | None:
    """What `algorithm` needs, by any of its spellings; None when nothing is known of it."""
    name = "".join(letter for letter in algorithm.casefold() if letter.isalnum())
    return REQUIREMENTS.get(ALIASES.get(name, name))


def check(data: Split | Dataset, *, algorithm: str | None = None) -> tuple[Finding, ...]:
    """Everything found, errors first. Duplicates that straddle sets of a split are an error: refuse them."""
    if isinstance(data, Split):
        sets = {name: dataset.examples for name, dataset in data.sets()}
        train, search = len(data.train), len(data.train) + len(data.dev)
        findings = list(data.findings)
    else:
        sets = {"train": data.examples}
        train = search = len(data)
        findings: list[Finding] = []
    examples = [example for members in sets.values() for example in members]
    home = [name for name, members in sets.items() for _ in members]
    if algorithm is not None:
        findings += too_few(algorithm, train, search)
    findings += _repetitions(examples, home)
    findings += _conflicts(examples)
    findings += _empty(examples)
    if examples and labels_kind(examples) == "categorical":
        findings += _classes(examples, home)
    order = ("error", "warning", "note")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))


def too_few(algorithm: str, train: int, search: int) -> Iterator[Finding]:
    """What `algorithm` misses with so many `train` rows, and `search` rows of train and dev together."""
    need = requirement(algorithm)
    if need is None:
        return
    rows = train if need.counts == "train" else search
    if rows < need.advised:
        fatal = rows < need.minimum
        least = need.minimum if fatal else need.advised
        yield Finding(
            level="error" if fatal else "warning",
            code="too_few_examples",
            message=f"{algorithm} {'needs' if fatal else 'works well with'} {least} {need.counts} rows or more, "
            f"there are {rows}",
            remedy=f"add {least - rows} or more, or choose another algorithm ('auto' chooses by the data)",
        )


def _repetitions(examples: Sequence[Example], home: Sequence[str]) -> Iterator[Finding]:
    exact = exact_clusters(examples)
    same = {index: number for number, cluster in enumerate(exact) for index in cluster}
    near = [
        cluster
        for cluster in similar(examples).clusters()
        if len(cluster) > 1 and len({same.get(index, -1 - index) for index in cluster}) > 1
    ]
    for kind, code, clusters in (("exact", "duplicates", exact), ("near", "near_duplicates", near)):
        leaks = [cluster for cluster in clusters if len({home[index] for index in cluster}) > 1]
        if leaks:
            places = sorted({home[index] for cluster in leaks for index in cluster})
            yield Finding(
                level="error",
                code="leak" if kind == "exact" else "near_leak",
                message=f"refused: {len(leaks)} examples have {kind} duplicates in another set ({', '.join(places)}), "
                "so a score there would be memory and not skill",
                remedy="remove them from one of the sets, or give one file to be split: that keeps them together",
                examples=_ids(examples, (index for cluster in leaks for index in _one_each(cluster, home))),
            )
        inside = [cluster for cluster in clusters if cluster not in leaks]
        if inside:
            extra = sum(map(len, inside)) - len(inside)
            yield Finding(
                level="warning",
                code=code,
                message=f"{kind} duplicates, of which {extra} could go" + _quoted(examples, inside[0]),
                remedy="keep one of each: repeated rows weigh double in every score",
                examples=_ids(examples, (index for cluster in inside for index in cluster)),
            )


def _one_each(cluster: Sequence[int], home: Sequence[str]) -> list[int]:
    return list({home[index]: index for index in reversed(cluster)}.values())


def _quoted(examples: Sequence[Example], cluster: Sequence[int]) -> str:
    texts = [label_text(next(iter(examples[index].inputs.values()), ""))[:60] for index in cluster[:2]]
    return f": {texts[0]!r}, {texts[1]!r}"


def _conflicts(examples: Sequence[Example]) -> Iterator[Finding]:
    labels = [canonical(example.labels) for example in examples]
    clusters = [each for each in exact_clusters(examples) if len({labels[index] for index in each}) > 1]
    if clusters:
        yield Finding(
            level="warning",
            code="conflicting_labels",
            message=f"{len(clusters)} inputs occur with different labels, so no program can get them all right",
            remedy="decide which label is right, or add the input field that tells them apart",
            examples=_ids(examples, (index for cluster in clusters for index in cluster)),
        )


def _empty(examples: Sequence[Example]) -> Iterator[Finding]:
    blank: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        for field, value in (*example.inputs.items(), *example.labels.items()):
            if value is None or value in ([], {}) or (isinstance(value, str) and not value.strip()):
                blank[field].append(index)
    for field, rows in blank.items():
        yield Finding(
            level="warning",
            code="empty_field",
            message=f"{field!r} is empty in {len(rows)} of {len(examples)} rows",
            remedy="fill it in, or leave the rows out",
            examples=_ids(examples, rows),
        )


def _classes(examples: Sequence[Example], home: Sequence[str]) -> Iterator[Finding]:
    field = label_field(examples) or ""
    rows: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        rows[label_text(example.labels[field])].append(index)
    yield from _imbalance(field, {name: len(members) for name, members in rows.items()}, len(examples))
    single = [members[0] for members in rows.values() if len(members) == 1]
    if single:
        names = ", ".join(name for name, members in rows.items() if len(members) == 1)
        yield Finding(
            level="warning",
            code="single_example_label",
            message=f"labels with only one example: {names}",
            remedy="add examples of them or drop them: what is seen once is either learned or tested, not both",
            examples=_ids(examples, single),
        )
    yield from _spellings(examples, rows)
    unseen = [name for name, members in rows.items() if len(members) > 1 and "train" not in {home[i] for i in members}]
    if unseen:
        yield Finding(
            level="warning",
            code="label_not_in_train",
            message=f"labels without a train example: {', '.join(unseen)}",
            remedy="add examples of them, or put some into the train set",
            examples=_ids(examples, (index for name in unseen for index in rows[name])),
        )


def _imbalance(field: str, sizes: dict[str, int], total: int) -> Iterator[Finding]:
    largest = max(sizes, key=lambda each: sizes[each])
    # A label seen once has its own finding.
    smallest = min((each for each in sizes if sizes[each] > 1), key=lambda each: sizes[each], default=largest)
    if sizes[largest] >= RATIO * sizes[smallest] or sizes[largest] >= SHARE * total:
        against = f", {smallest!r} {sizes[smallest]}" if smallest != largest else ""
        yield Finding(
            level="warning",
            code="imbalance",
            message=f"{field!r} is {largest!r} in {sizes[largest]} of {total} rows{against}: "
            f"always answering {largest!r} scores {sizes[largest] / total:.0%}",
            remedy="add examples of the rare labels, and measure with macro F1 instead of accuracy",
        )


def _spellings(examples: Sequence[Example], rows: dict[str, list[int]]) -> Iterator[Finding]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in rows:
        alike[" ".join(name.casefold().split())].append(name)
    twins = [names for names in alike.values() if len(names) > 1]
    if twins:
        rarer = [name for names in twins for name in sorted(names, key=lambda each: -len(rows[each]))[1:]]
        yield Finding(
            level="warning",
            code="label_spelling",
            message=f"labels that differ only in case or spacing: {'; '.join(' / '.join(map(repr, n)) for n in twins)}",
            remedy="write each label one way",
            examples=_ids(examples, (index for name in rarer for index in rows[name])),
        )


def _ids(examples: Sequence[Example], indexes: Iterable[int]) -> tuple[str, ...]:
    return tuple(examples[index].id for _, index in zip(range(SHOWN), indexes, strict=False))
