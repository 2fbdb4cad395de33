"""All texts of a transcript in one list, and the transcript with some of them replaced."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import replace

from strop.agents.transcript import Json, Step, Transcript, Turn

MAX_DEPTH = 64
"""Levels of nested JSON that are kept; a deeper one becomes a note."""
_NESTED = frozenset({dict, list})
_TOO_DEEP = "[nested too deeply]"


class TranscriptTexts:
    """`all` are the texts, keys and ids of a transcript; `too_deep` says that some JSON in it cannot be kept whole."""

    def __init__(self, transcript: Transcript) -> None:
        self._whole = transcript
        self.all: list[str] = []
        self._turns: list[tuple[int, int, int]] = []
        """Where the texts of each turn begin, those of its context, and those of its extra."""
        self._steps: list[int] = []
        texts, nested = self.all, False
        each = transcript
        texts += (each.id, each.source, each.title, each.directory, each.agent, each.model, each.version)
        texts += [text for text in (each.parent, each.system_prompt) if text is not None]
        nested |= collect(each.extra, texts)
        for turn in each.turns:
            first = len(texts)
            texts += (turn.key, turn.task, turn.answer, turn.model, turn.agent)
            if turn.error is not None:
                texts.append(turn.error)
            context = len(texts)
            nested |= collect(turn.context, texts)
            self._turns.append((first, context, len(texts)))
            nested |= collect(turn.extra, texts)
            for step in turn.steps:
                self._steps.append(len(texts))
                texts += (step.tool, step.call, step.result)
                nested |= collect(step.arguments, texts)
                if step.extra:
                    nested |= collect(step.extra, texts)
        self.too_deep = nested

    def rebuilt(self, changed: Mapping[int, str]) -> Transcript:
        """The transcript with the texts whose `id` is in `changed` replaced, and what is too deep cut off."""
        everywhere = self.too_deep
        where = [index for index, text in enumerate(self.all) if id(text) in changed]
        whole, clean, tree = self._whole, _replacer(changed), _tree_replacer(changed)
        turns: list[Turn] = []
        step_at = 0
        for number, turn in enumerate(whole.turns):
            first, context, extra = self._turns[number]
            end = self._turns[number + 1][0] if number + 1 < len(self._turns) else len(self.all)
            steps = self._steps[step_at : step_at + len(turn.steps)]
            step_at += len(steps)
            if everywhere or _any_between(where, first, end):
                bounds = zip(turn.steps, steps, [*steps[1:], end], strict=False)
                done = tuple(
                    _step(step, clean, tree) if everywhere or _any_between(where, begin, last) else step
                    for step, begin, last in bounds
                )
                own = steps[0] if steps else end
                turns.append(
                    _turn(
                        turn, done, clean,
                        tree(turn.context) if everywhere or _any_between(where, context, extra) else turn.context,
                        tree(turn.extra) if everywhere or _any_between(where, extra, own) else turn.extra,
                    )
                )  # fmt: skip
            else:
                turns.append(turn)
        system, parent = whole.system_prompt, whole.parent
        return replace(
            whole, id=_named(whole.id, clean), parent=None if parent is None else _named(parent, clean),
            source=clean(whole.source), title=clean(whole.title), agent=clean(whole.agent), model=clean(whole.model),
            version=clean(whole.version), directory=clean(whole.directory), turns=tuple(turns), extra=tree(whole.extra),
            system_prompt=None if system is None else clean(system),
        )  # fmt: skip


def collect(value: Json | Mapping[str, Json], into: list[str], depth: int = 0) -> bool:
    """Append every string and key; whether something in it lies deeper than is kept."""
    if type(value) is str:
        into.append(value)
        return False
    if not value or not (type(value) is dict or isinstance(value, Mapping | list)):
        return False
    if depth >= MAX_DEPTH:
        return True
    if type(value) is dict or isinstance(value, Mapping):
        into += value
        items = value.values()
    else:
        items = value
    deep = False
    for item in items:
        if type(item) is str:
            into.append(item)
        elif item and (type(item) is dict or type(item) is list):
            deep |= collect(item, into, depth + 1)
    return deep


def rebuilt(value: Json, changed: Mapping[int, str], depth: int = 0) -> Json:
    """The value with the texts whose `id` is in `changed` replaced; a note for what is too deep."""
    if type(value) is str:
        return changed.get(id(value), value)
    if type(value) is not dict and type(value) is not list:
        return value
    if depth >= MAX_DEPTH:
        return _TOO_DEEP
    deeper = depth + 1
    if type(value) is dict:
        return {
            changed.get(id(key), key): rebuilt(item, changed, deeper)
            if type(item) in _NESTED
            else changed.get(id(item), item)
            for key, item in value.items()
        }
    return [rebuilt(item, changed, deeper) if type(item) in _NESTED else changed.get(id(item), item) for item in value]


_Replacer = Callable[[str], str]
_TreeReplacer = Callable[[Mapping[str, Json]], Mapping[str, Json]]


def _replacer(changed: Mapping[int, str]) -> _Replacer:
    return lambda text: changed.get(id(text), text)


def _tree_replacer(changed: Mapping[int, str]) -> _TreeReplacer:
    def clean(value: Mapping[str, Json]) -> Mapping[str, Json]:
        if not value:
            return value
        return {
            changed.get(id(key), key): rebuilt(item, changed, 1)
            if type(item) in _NESTED
            else changed.get(id(item), item)
            for key, item in value.items()
        }

    return clean


def _step(step: Step, clean: _Replacer, tree: _TreeReplacer) -> Step:
    return replace(
        step, tool=clean(step.tool), call=clean(step.call), arguments=tree(step.arguments), result=clean(step.result),
        extra=tree(step.extra),
    )  # fmt: skip


def _turn(
    turn: Turn, steps: tuple[Step, ...], clean: _Replacer, context: Mapping[str, Json], extra: Mapping[str, Json]
) -> Turn:
    return replace(
        turn, key=_named(turn.key, clean), task=clean(turn.task), context=context, steps=steps,
        answer=clean(turn.answer), model=clean(turn.model), error=None if turn.error is None else clean(turn.error),
        agent=clean(turn.agent), extra=extra,
    )  # fmt: skip


def _named(id: str, clean: _Replacer) -> str:
    safe = clean(id)
    tail = hashlib.blake2b(id.encode(errors="replace"), digest_size=6).hexdigest()
    return safe if safe == id else f"{safe}#{tail}"


def _any_between(where: list[int], first: int, end: int) -> bool:
    at = bisect_left(where, first)
    return at < len(where) and where[at] < end
