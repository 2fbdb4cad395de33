"""Sets the scoring weights on the made-up families by coordinate search: `python -m tests.embedded.set_weights`.

Prints the weights that it ends with; they are copied into `strop/embedded/weights.py` by hand. Nothing that the project
ships or reports on is read here.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from random import Random

from strop.embedded import classify, lore, vectors
from strop.embedded.fields import Demo
from strop.embedded.personality import MODELS, Personality
from strop.embedded.rows import Row
from strop.embedded.weights import WEIGHTS, Weights
from tests.embedded.task_families import Family, Item, measures, moods, topics

MEANING = ("meaning", "anchor_cues", "demo_meaning", "meaning_doubt")
SEARCHED = (
    "cue", "given", "name", "name_inside", "counts", "counts_doubt", "imagined", "prior", "likeness", "likeness_doubt",
    "measures",
)  # fmt: skip
FACTORS = (0.6, 0.8, 1.25, 1.7)


def situations(family: Family, personality: Personality) -> Iterator[tuple[str, str, Sequence[Item]]]:
    """Name, instruction and examples: nothing, a guide by hand, a guide from 80 rows, examples, both."""
    told = lore.Lore()
    rows = [Row(text=item.text, answer=item.answer, inputs=item.inputs) for item in family.train[100:180]]
    lore.from_rows(rows, family.labels, told)
    random = Random(5)
    lines = [f"- {label}: {', '.join(told.best_words(label, 10, personality, random, 1.0))}" for label in told.counts]
    written = f"{family.instruction}\n\nGuide:\n" + "\n".join(lines)
    yield "zero", family.instruction, ()
    if family.name != "measures":
        yield "guide", family.guided(count=5), ()
        yield "written", written, ()
        yield "both", written, family.train[:16]
    yield "few", family.instruction, family.train[:8]
    yield "many", family.instruction, family.train[: personality.demos_seen]


def accuracy(family: Family, instruction: str, shown: Sequence[Item], personality: Personality, size: int) -> float:
    """Share of right answers on the first `size` test items, in percent."""
    places = {label: place for place, label in enumerate(family.labels)}
    demos = [(Demo(inputs=item.inputs, outputs={}), places[item.answer]) for item in shown]
    reader = classify.study_labels(family.labels, instruction, family.output, demos, personality)
    test = family.test[:size]
    right = 0
    for number, item in enumerate(test):
        vote = reader.vote(item.text, Random(number), None, 0.0)
        right += family.labels[vote.winner] == item.answer
    return 100 * right / len(test)


def table(seeds: Sequence[int], size: int) -> dict[tuple[str, str, str], float]:
    """Mean accuracy per personality, family and situation."""
    cells: dict[tuple[str, str, str], list[float]] = {}
    for seed in seeds:
        families = (topics(seed), topics(seed, telling=3), topics(seed, coded=True), moods(seed), measures(seed))
        for personality in MODELS.values():
            for family in families:
                for name, instruction, shown in situations(family, personality):
                    value = accuracy(family, instruction, shown, personality, size)
                    cells.setdefault((personality.name, family.name, name), []).append(value)
    return {key: sum(values) / len(values) for key, values in cells.items()}


def _score(weights: Weights, seeds: Sequence[int], size: int) -> float:
    classify.WEIGHTS = weights
    classify.name_row.cache_clear()
    values = table(seeds, size).values()
    return sum(values) / len(values)


def search(names: Sequence[str], rounds: int, seeds: Sequence[int], size: int) -> Weights:
    """Coordinate search by factors from the present weights."""
    best = WEIGHTS
    best_score = _score(best, seeds, size)
    for _ in range(rounds):
        for name in names:
            present = float(getattr(best, name))
            for factor in FACTORS:
                tried = dataclasses.replace(best, **{name: round(present * factor, 3)})
                if (score := _score(tried, seeds, size)) > best_score + 0.02:
                    best, best_score = tried, score
        print(f"{best_score:.2f} {best}", flush=True)
    return best


def main() -> None:
    """Prints the table of the present weights, or searches for better ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--meaning", action="store_true", help="search the weights of the word vectors only")
    parser.add_argument("--size", type=int, default=120)
    args = parser.parse_args()
    print("word vectors:", vectors.available())
    if args.rounds:
        search(MEANING if args.meaning else SEARCHED, args.rounds, (1, 2), args.size)
    cells = table((11, 12, 13), 200)
    for (personality, family, name), value in cells.items():
        print(f"{personality:16} {family:9} {name:8} {value:5.1f}")
    print("mean", round(sum(cells.values()) / len(cells), 2))


if __name__ == "__main__":
    main()
