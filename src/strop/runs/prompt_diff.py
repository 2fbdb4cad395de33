"""What changed in a prompt, for the eye: instructions word by word where they are related, demos as lists."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

MOST_CHARACTERS = 12_000
"""Of one text; prompts beyond are cut, and the page says so."""
MOST_WORDS = 1_500
"""Beyond, lines are compared instead of words: the comparison takes quadratic time."""
RELATED = 0.5
"""Share of the shorter text that must be in the other one; a word diff of less related texts would be confetti."""

_DEMO = re.compile(r"\n\nExample (\d+)\n")


@dataclass(frozen=True, kw_only=True)
class PromptPart:
    """One predictor's prompt before and after. `demos_*` are the demos' texts."""

    name: str
    changed: bool
    before: Markup
    after: Markup
    together: Markup | None
    demos_before: tuple[str, ...]
    demos_after: tuple[str, ...]


def compare_prompts(before: str | None, after: str | None, predictors: Sequence[str]) -> list[PromptPart]:
    """The parts of two prompts as `programs.prompt_text` writes them, paired by predictor."""
    old, new = (_parts(text or "", predictors) for text in (before, after))
    return [_compare(name, old.get(name, ""), new.get(name, "")) for name in dict.fromkeys((*old, *new))]


def _compare(name: str, before: str, after: str) -> PromptPart:
    (old, old_demos), (new, new_demos) = _demos(before), _demos(after)
    together, left, right = diff(old, new)
    return PromptPart(
        name=name, changed=old != new, before=left, after=right, together=together,
        demos_before=old_demos, demos_after=new_demos,
    )  # fmt: skip


def diff(before: str, after: str) -> tuple[Markup | None, Markup, Markup]:
    """Both texts in one with deletions and insertions marked (None when they are unrelated), and each by itself."""
    before, after = shorten(before, MOST_CHARACTERS), shorten(after, MOST_CHARACTERS)
    alone = escape(before), escape(after)
    old, new = re.findall(r"\s+|\w+|[^\w\s]", before), re.findall(r"\s+|\w+|[^\w\s]", after)
    if len(old) + len(new) > 2 * MOST_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    kept = sum(block.size for block in matcher.get_matching_blocks())
    if before and after and kept < RELATED * min(len(old), len(new)):
        return None, *alone
    return Markup("").join(_marked(matcher, old, new)), *alone


def shorten(text: str, most: int) -> str:
    """At most `most` characters and a word about the rest."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


def _marked(matcher: difflib.SequenceMatcher[str], old: Sequence[str], new: Sequence[str]) -> Iterator[Markup]:
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield escape("".join(old[a:b]))
            continue
        if a < b:
            yield Markup("<del>{}</del>").format("".join(old[a:b]))
        if c < d:
            yield Markup("<ins>{}</ins>").format("".join(new[c:d]))


def _parts(text: str, predictors: Sequence[str]) -> dict[str, str]:
    if len(predictors) < 2:
        return {predictors[0] if predictors else "": text}
    names = "|".join(re.escape(name) for name in predictors)
    pieces = re.split(rf"(?:^|\n\n)# ({names})\n\n", text)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True)) or {"": text}


def _demos(text: str) -> tuple[str, tuple[str, ...]]:
    """Instructions and demos. Only headings that count 1, 2, 3 to the end are demos: instructions may have examples."""
    found = list(_DEMO.finditer(text))
    starts = [at for at, match in enumerate(found) if match.group(1) == "1"]
    for start in reversed(starts):
        run = found[start:]
        if [int(match.group(1)) for match in run] == list(range(1, len(run) + 1)):
            ends = [*(match.start() for match in run[1:]), len(text)]
            demos = tuple(text[match.end() : end] for match, end in zip(run, ends, strict=True))
            return text[: run[0].start()], demos
    return text, ()
