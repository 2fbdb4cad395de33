"""What one task call typically asks and answers, from examples put into the prompt as a run would put them there."""

from __future__ import annotations

from collections.abc import Sequence

from strop.datasets import Example
from strop.gateway import TokenUse, estimated_tokens
from strop.programs import ProgramSpec, Rendered, rendered

SAMPLE = 16
FREE_ANSWER = "A sentence of an answer that nobody has written yet, which may be long. " * 11


class TypicalCall:
    """The mean over a few dev examples, of the plain prompt and of one that shows `demos` train examples.

    `sampled` examples have no labels; their answers are taken to be a paragraph.

    Raises:
        ProgramError: the program cannot be built.
    """

    def __init__(
        self,
        spec: ProgramSpec,
        train: Sequence[Example],
        dev: Sequence[Example],
        *,
        demos: int,
        sampled: bool = False,
    ) -> None:
        ask = [(each.inputs, {} if sampled else each.labels) for each in dev[:SAMPLE]]
        self._plain = rendered(spec, ask)
        self._shown = rendered(spec, ask, [{**each.inputs, **each.labels} for each in train[:demos]])
        self._free = FREE_ANSWER if sampled else ""

    def use(self, model: str, *, shown: bool = False) -> TokenUse:
        """Tokens of one run of the program by `model`, rounded up; `shown` with examples in the prompt."""
        texts = self._shown if shown else self._plain
        return TokenUse(
            input=_mean(model, [one.asked for one in texts]),
            output=_mean(model, [self._free or one.answered for one in texts]),
        )

    @property
    def largest_bytes(self) -> int:
        """Bytes of the longest of these prompts."""
        texts: list[Rendered] = [*self._plain, *self._shown]
        return max((len(one.asked.encode()) for one in texts), default=0)


def _mean(model: str, texts: Sequence[str]) -> int:
    counts = [estimated_tokens(model, text) for text in texts]
    return -(-sum(counts) // max(1, len(counts)))
