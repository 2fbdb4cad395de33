"""Datasets made for the tests of this room."""

import json
import random
from collections.abc import Iterable
from pathlib import Path

from strop.datasets import Dataset, Example

SECTIONS = Path(__file__).parent / "sections.jsonl"
"""The first 80 rows of the Debian sections (see NOTICE)."""

WORDS = (
    *("amber", "bridge", "copper", "drift", "ember", "frost", "granite", "harbour", "island", "jasmine"),
    *("kettle", "lantern", "meadow", "nectar", "orchard", "pepper", "quartz", "ribbon", "saddle", "timber"),
    *("umber", "velvet", "walnut", "yonder", "zephyr", "anchor", "basket", "cobalt", "dagger", "engine"),
)


def clean_text(number: int) -> str:
    """Six words that share too little with those of any other number to be called similar."""
    return " ".join(random.Random(number).sample(WORDS, 6))


def made(count: int, classes: int = 3) -> Dataset:
    """`count` clean rows, the classes in turn."""
    examples = (
        Example(id=f"r{n}", inputs={"text": clean_text(n)}, labels={"label": f"class {n % classes}"})
        for n in range(count)
    )
    return Dataset(examples=tuple(examples))


def of(rows: Iterable[tuple[str, str]]) -> Dataset:
    examples = (
        Example(id=f"e{n}", inputs={"text": text}, labels={"label": label}) for n, (text, label) in enumerate(rows)
    )
    return Dataset(examples=tuple(examples))


def jsonl(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
