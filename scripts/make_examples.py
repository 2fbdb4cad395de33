"""Writes the generated and the borrowed data of `strop init`'s examples; the same bytes every time.

    python scripts/make_examples.py            # needs scikit-learn (iris), from the dev dependencies

Ticket routing, extractive QA and summarisation are written by the grammars in `example_texts/`; nothing in them is
about a real person or company. The package sections are real data, kept as they are.
"""

from __future__ import annotations

import csv
import itertools
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TEXTS = Path(__file__).with_name("example_texts")
EXAMPLES = Path(__file__).resolve().parents[1] / "src" / "strop" / "examples"
TOO_ALIKE = 0.6
"""Word-pair overlap (Jaccard) above which a new text is thrown away: a near-copy would leak across the split."""

NUMBERS: dict[str, list[str]] = {
    "day": [str(n) for n in range(2, 29)],
    "year": [str(n) for n in range(1841, 1976)],
    "small": [str(n) for n in range(11, 60)],
    "hundred": [str(n) for n in range(110, 980, 7)],
    "thousand": [f"{n},{m}00" for n in range(2, 48, 3) for m in range(1, 9, 2)],
    "million": [f"{n}.{m} million" for n in range(1, 19, 2) for m in range(1, 10, 3)],
    "percent": [f"{n} percent" for n in range(4, 47, 3)],
    "price": [f"${n}.{c}" for n in range(9, 240, 11) for c in ("00", "50", "90")],
    "code": [f"{a}{b}-{n}" for a in "BKTX" for b in "MQRZ" for n in range(1043, 9900, 613)],
    "clock": [f"{h}:{m:02}" for h in range(7, 22) for m in (5, 15, 20, 40, 50)],
}

Row = dict[str, str]


def texts(name: str) -> Any:
    return YAML(typ="safe").load(TEXTS / f"{name}.yaml")


WORDS: dict[str, list[str]] = texts("words") | NUMBERS
TICKETS, PASSAGES, ARTICLES = texts("tickets"), texts("passages"), texts("articles")


class Picks(dict[str, str]):
    """Chooses a word for each `{slot}` once; `{town}` and `{town2}` come from the same list and differ."""

    def __init__(self, rng: random.Random, lists: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.rng = rng
        self.lists = lists

    def __missing__(self, slot: str) -> str:
        kind = slot.rstrip("0123456789")
        taken = {value for name, value in self.items() if name.rstrip("0123456789") == kind}
        self[slot] = self.rng.choice([word for word in self.lists[kind] if word not in taken])
        return self[slot]

    def fill(self, template: str) -> str:
        return template.format_map(self)


def sentences(parts: Sequence[str]) -> str:
    """The parts as one text, with a capital after each full stop."""
    return re.sub(r"(^|[.?!:] )([a-z])", lambda m: m[1] + m[2].upper(), " ".join(parts))


def ticket(rng: random.Random, at: int) -> Row:
    teams = TICKETS["teams"]
    team = list(teams)[at % len(teams)]
    picks = Picks(rng, WORDS)
    issues = teams[team]["issues"]
    parts = [picks.fill(issues[at // len(teams) % len(issues)])]
    if rng.random() < 0.6:
        parts.append(picks.fill(rng.choice(teams[team]["details"])))
    if rng.random() < 0.3:
        other = rng.choice([name for name in teams if name != team])
        parts.insert(rng.randrange(len(parts) + 1), picks.fill(rng.choice(teams[other]["asides"])))
    if rng.random() < 0.5:
        parts.insert(0, picks.fill(rng.choice(TICKETS["openings"])))
    if rng.random() < 0.5:
        parts.append(picks.fill(rng.choice(TICKETS["closings"])))
    return {"message": sentences(parts), "team": team}


def question(rng: random.Random, at: int) -> Row:
    kinds = PASSAGES["kinds"]
    kind = kinds[at % len(kinds)]
    picks = Picks(rng, WORDS)
    head, *rest = [picks.fill(rng.choice(ways)) for ways in kind["sentences"]]
    rng.shuffle(rest)
    asked = kind["questions"][at // len(kinds) % len(kind["questions"])]
    row = {
        "context": sentences([head, *rest]),
        "question": picks.fill(asked["asked"]),
        "answer": picks.fill(asked["answer"]),
    }
    assert row["answer"] in row["context"], row
    return row


def article(rng: random.Random, at: int) -> Row:
    kinds = ARTICLES["kinds"]
    kind = kinds[at % len(kinds)]
    picks = Picks(rng, WORDS)
    key = picks.fill(rng.choice(kind["key"]))
    around = [picks.fill(text) for text in rng.sample(kind["around"], rng.choice((3, 4)))]
    rest = [*around, picks.fill(rng.choice(ARTICLES["general"]))]
    rng.shuffle(rest)
    place = 0 if rng.random() < 0.6 else 1
    return {"text": sentences([*rest[:place], key, *rest[place:]]), "summary": picks.fill(kind["summary"])}


def generate(make: Callable[[random.Random, int], Row], count: int, seed: int, looked_at: str) -> list[Row]:
    """`count` rows, no two of which are near-copies in the field `looked_at`."""
    rng = random.Random(seed)
    rows: list[Row] = []
    seen: list[frozenset[tuple[str, str]]] = []
    for _ in range(count):
        for _attempt in range(2000):
            row = make(rng, len(rows))
            pairs = frozenset(itertools.pairwise(re.findall(r"\w+", row[looked_at].lower())))
            if all(len(pairs & other) <= TOO_ALIKE * len(pairs | other) for other in seen):
                break
        else:
            raise SystemExit(f"{make.__name__}: the grammar has no further text that differs enough")
        seen.append(pairs)
        rows.append(row)
    return rows


def with_label_noise(rows: list[Row], field: str, share: float, seed: int) -> list[Row]:
    """A `share` of the labels replaced by another one, as tired people do."""
    rng = random.Random(seed)
    labels = sorted({row[field] for row in rows})
    wrong = set(rng.sample(range(len(rows)), round(share * len(rows))))
    return [
        {**row, field: rng.choice([label for label in labels if label != row[field]])} if at in wrong else row
        for at, row in enumerate(rows)
    ]


def write_jsonl(name: str, prefix: str, rows: list[Row], seed: int) -> None:
    random.Random(seed).shuffle(rows)
    lines = [json.dumps({"id": f"{prefix}-{at:03}", **row}, ensure_ascii=False) for at, row in enumerate(rows, 1)]
    (EXAMPLES / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_iris() -> None:
    from sklearn.datasets import load_iris

    iris = load_iris()
    with (EXAMPLES / "iris" / "iris.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "measurements", "species"])
        for at, (values, kind) in enumerate(zip(iris.data, iris.target, strict=True), 1):
            a, b, c, d = (f"{value:.1f}" for value in values)
            text = f"sepal {a} x {b} cm, petal {c} x {d} cm"
            table.writerow([f"iris-{at:03}", text, iris.target_names[kind]])


def main() -> None:
    rows = with_label_noise(generate(ticket, 400, 11, "message"), "team", 0.03, 12)
    write_jsonl("ticket-routing/tickets.jsonl", "ticket", rows, 13)
    write_jsonl("extractive-qa/questions.jsonl", "qa", generate(question, 300, 21, "context"), 22)
    write_jsonl("summarisation/articles.jsonl", "article", generate(article, 180, 31, "text"), 32)
    write_iris()


if __name__ == "__main__":
    main()
