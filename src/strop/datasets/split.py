"""Divides examples into train, dev and a sealed test set, the same way every time.

An example's place follows from the hash of (seed, id), so neither the order of the rows nor rows added later move it
more than the shares demand: within its class an example is ranked by its hash, the lowest ranks are the test set, the
next the dev set, the rest the train set, and only examples at a boundary can cross it. Rows of one group, and rows that
are exact or near duplicates of each other, go together.

The shares 40/30/30 differ from the 80/20 of model fitting for a reason. Prompt search needs few train rows: a dozen
demos, some failures to reflect on. It ranks candidates on the dev set and proves the winner on the test set, and both
need rows to see anything: of 795 rows, 239 go to the test set, where a gain of 7.5 points is found four times out of
five when the two programs disagree on a fifth of the examples (exact McNemar test, one-sided, 5 %). 15 % would leave
119 rows, on which that gain is found every other time.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from strop.datasets.duplicates import similar
from strop.datasets.example import Dataset, Example, canonical, sha256
from strop.datasets.finding import Finding
from strop.datasets.labels import label_field, labels_kind
from strop.datasets.placement import FLOOR, SetName, Unit, place, sizes_for
from strop.errors import DataError, SettingsError

TEST_ROWS_FOR_A_CLAIM = 10
RARE = 5
"""Classes with fewer rows than this are divided together: a third of four rows is mostly rounding."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three sets without a common row. Only this object knows all three: a search gets `train` and `dev`, not this."""

    train: Dataset
    dev: Dataset
    test: Dataset
    seed: int = 0
    findings: tuple[Finding, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of which example is in which set."""
        return sha256(canonical([self.train.fingerprint, self.dev.fingerprint, self.test.fingerprint]))

    def sets(self) -> tuple[tuple[SetName, Dataset], ...]:
        return ("train", self.train), ("dev", self.dev), ("test", self.test)

    @classmethod
    def of(
        cls,
        train: Dataset,
        dev: Dataset | None = None,
        test: Dataset | None = None,
        *,
        seed: int = 0,
        stratify: str | None = "auto",
    ) -> Split:
        """The user's own sets, kept as they are; a set that is not given is cut from `train`.

        The cut takes the default shares among train and the sets to be made. Raises DataError when one id stands for
        different examples in different sets.
        """
        _refuse_shared_ids([each for each in (train, dev, test) if each is not None])
        if len(train) == 0:
            raise DataError("the train set has no examples", hint="add rows")
        shares: dict[SetName, float] = {"train": 0.4}
        if dev is None:
            shares["dev"] = 0.3
        if test is None:
            shares["test"] = 0.3
        if dev is not None and test is not None:
            return cls(train=train, dev=dev, test=test, seed=seed, findings=tuple(_size_findings(dev, test)))
        total = sum(shares.values())
        cut = split(
            train,
            seed=seed,
            train=shares["train"] / total,
            dev=shares.get("dev", 0.0) / total,
            test=shares.get("test", 0.0) / total,
            stratify=stratify,
        )
        chosen = cut.dev if dev is None else dev, cut.test if test is None else test
        crowded = tuple(finding for finding in cut.findings if finding.code == "groups_too_large")
        findings = (*_size_findings(*chosen), *crowded)
        return cls(train=cut.train, dev=chosen[0], test=chosen[1], seed=seed, findings=findings)


def split(
    dataset: Dataset,
    *,
    seed: int = 0,
    train: float = 0.4,
    dev: float = 0.3,
    test: float = 0.3,
    stratify: str | None = "auto",
) -> Split:
    """Cut `dataset` by the shares `train`, `dev` and `test`, which add up to 1; dev or test may be 0.

    `stratify` names the label field whose classes every set gets in proportion; `auto` takes the only label when its
    values are few, None does without. Every set gets 2 rows or more. Below 6 rows there is no test set, below 4 no dev
    set either; `findings` says so, and when a test set is too small for a claim. Raises SettingsError for shares or a
    field that cannot be used.
    """
    _check_shares({"train": train, "dev": dev, "test": test})
    if len(dataset) == 0:
        raise DataError(f"{dataset.name!r} has no examples to split", hint="add rows")
    units = _units(dataset.examples, _strata(dataset, stratify), seed)
    sizes = sizes_for(len(dataset), dev=dev, test=test)
    placed = place(units, sizes)
    sets = {name: _dataset(dataset, name, placed[name], seed) for name in placed}
    findings = [*_size_findings(sets["dev"], sets["test"])]
    crowded = [name for name, size in sizes.items() if len(sets[name]) < min(size, FLOOR)]
    if crowded:
        findings.append(
            Finding(
                level="warning",
                code="groups_too_large",
                message=f"rows that stay together leave fewer than {FLOOR} rows for the {' and '.join(crowded)} set",
                remedy="add rows of other groups, or give the sets as files of their own",
            )
        )
    return Split(train=sets["train"], dev=sets["dev"], test=sets["test"], seed=seed, findings=tuple(findings))


def _check_shares(shares: Mapping[SetName, float]) -> None:
    hint = "for example train 0.4, dev 0.3, test 0.3"
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise SettingsError(
                f"the share of the {name} set is {share!r}", hint=f"a share lies between 0 and 1; {hint}"
            )
    if shares["train"] == 0:
        raise SettingsError("the share of the train set is 0", hint=f"a search needs train rows; {hint}")
    if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise SettingsError(f"the shares add up to {sum(shares.values()):g}", hint=f"they must add up to 1; {hint}")


def _strata(dataset: Dataset, stratify: str | None) -> dict[str, str]:
    """Example id -> class to be spread evenly. Rare classes share one stratum."""
    examples = dataset.examples
    field = label_field(examples) if stratify == "auto" and labels_kind(examples) == "categorical" else stratify
    if field is None or field == "auto":
        return {}
    lacking = next((example for example in examples if field not in example.labels), None)
    if lacking is not None:
        raise SettingsError(
            f"cannot stratify by {field!r}: the labels are {', '.join(lacking.labels) or 'none'}",
            hint="name a label field, or 'auto'",
        )
    rows: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        rows[canonical(example.labels[field])].append(example.id)
    return {identity: value for value, ids in rows.items() if len(ids) >= RARE for identity in ids}


def _units(examples: Sequence[Example], strata: Mapping[str, str], seed: int) -> list[Unit]:
    partition = similar(examples)
    first_of_group: dict[str, int] = {}
    for index, example in enumerate(examples):
        if example.group is not None:
            partition.join(first_of_group.setdefault(example.group, index), index)
    return [_unit([examples[index] for index in members], strata, seed) for members in partition.clusters()]


def _unit(members: Sequence[Example], strata: Mapping[str, str], seed: int) -> Unit:
    key = min(f"id:{example.id}" if example.group is None else f"group:{example.group}" for example in members)
    classes = [strata.get(example.id, "") for example in members]
    stratum = min(set(classes), key=lambda each: (-classes.count(each), each))
    return Unit(examples=tuple(members), rank=_hash(seed, key), stratum=stratum)


def _hash(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}\n{key}".encode()).hexdigest()


def _dataset(whole: Dataset, name: SetName, units: Sequence[Unit], seed: int) -> Dataset:
    examples = (example for unit in units for example in unit.examples)
    ordered = sorted(examples, key=lambda example: _hash(seed, example.id))
    return Dataset(examples=tuple(ordered), name=f"{whole.name}/{name}")


def _size_findings(dev: Dataset, test: Dataset) -> Iterable[Finding]:
    if len(dev) == 0:
        yield Finding(
            level="warning",
            code="no_dev",
            message="there is no dev set: candidates are ranked on the rows that made them, which flatters them",
            remedy=f"give {2 * FLOOR} examples or more",
        )
    if len(test) < TEST_ROWS_FOR_A_CLAIM:
        what = f"the test set has {len(test)} rows" if len(test) else "there is no test set"
        yield Finding(
            level="warning",
            code="small_test" if len(test) else "no_test",
            message=f"{what}: no gain can be claimed, whatever the numbers say",
            remedy=f"{TEST_ROWS_FOR_A_CLAIM} test rows are the least for a claim; a gain of 10 points takes 100 to 200",
        )


def _refuse_shared_ids(sets: Sequence[Dataset]) -> None:
    seen: dict[str, Example] = {}
    for dataset in sets:
        for example in dataset:
            other = seen.setdefault(example.id, example)
            if other.content_hash != example.content_hash:
                raise DataError(
                    f"id {example.id!r} stands for two different examples ({other.origin}, {example.origin})",
                    hint="make ids unique over the sets, or leave the id field out: ids are then made from the content",
                )
