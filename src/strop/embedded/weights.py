"""How loudly each kind of evidence speaks: one table, set by a search over made-up task families.

The search is `python -m tests.embedded.set_weights`. None of its families is among the tasks that the project ships or
reports on.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Units: natural log of odds per word (or per whole text where it says so)."""

    cue: float = 3.8
    """A word that the instruction ties to a label."""
    given: float = 0.5
    """The same for the words known before reading, as a share of a cue."""
    name: float = 4.2
    """A word of the label's own name."""
    name_inside: float = 0.3
    """A label's name inside a longer word, as a share of the name."""
    counts: float = 0.6
    """A word seen in examples of a label."""
    counts_doubt: float = 8.0
    """As many examples halve the trust in counts."""
    imagined: float = 1.0
    """Imagined examples, spread evenly, to which counts are shrunk."""
    prior: float = 0.15
    likeness: float = 1.5
    """Likeness to single examples (whole text)."""
    likeness_doubt: float = 0.17
    meaning: float = 10.0
    """Closeness of the text's words to a label's name and cues by static vectors (whole text)."""
    anchor_cues: float = 1.0
    demo_meaning: float = 3.4
    """Closeness to single examples by static vectors (whole text)."""
    meaning_doubt: float = 0.03
    measures: float = 8.5
    """Nearness to examples that are rows of numbers (whole text)."""
    neighbours: int = 5
    doubt_true: float = 0.8
    """What a flag must overcome before it is True."""


WEIGHTS = Weights()
