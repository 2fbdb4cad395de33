"""Which proposed instructions enter the trials when likeness to the others has a price."""

from __future__ import annotations

from collections.abc import Sequence

from strop.optimizers.selecting import likeness, words

EXTRA_PRICE = 0.01
"""What a further proposal is worth less than one that the algorithm made by itself: it must differ to be preferred."""


def chosen_by_value(original: str, own: Sequence[str], extra: Sequence[str], penalty: float) -> list[str]:
    """As many instructions as `own`, chosen greedily by value.

    The value of an instruction is 1, less `penalty` times its greatest likeness to one already chosen (or to
    `original`, which always takes part), less a little for a further proposal.
    """
    left = [(text, 1.0) for text in own] + [(text, 1.0 - EXTRA_PRICE) for text in extra]
    taken = [words(original)]
    chosen: list[str] = []
    while left and len(chosen) < len(own):
        values = [worth - penalty * max(likeness(words(text), other) for other in taken) for text, worth in left]
        best = max(range(len(left)), key=lambda index: (values[index], -index))
        text, _ = left.pop(best)
        chosen.append(text)
        taken.append(words(text))
    return chosen


def mean_likeness(texts: Sequence[str]) -> float:
    """Mean Jaccard index over all pairs; 0 for fewer than two."""
    sets = [words(text) for text in texts]
    pairs = [likeness(one, other) for place, one in enumerate(sets) for other in sets[place + 1 :]]
    return sum(pairs) / len(pairs) if pairs else 0.0
