"""Looking first for cheap marks changes nothing: what is redacted and flagged is what the patterns alone would find."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from strop.agents import injection, redaction
from strop.agents.injection import SHORTEST_TEXT, flags_of
from strop.agents.redaction import Redaction
from strop.agents.transcript import Step, Transcript, Turn
from tests.agents.test_redaction import CANARIES
from tests.agents.turns import transcript, turn

LISTED = ["Project Falcon", "zx", "/cust-\\d+/", "Müller"]
ENVIRONMENT = {"MY_API_KEY": "hunter2-value", "OTHER_TOKEN": "pässwort-ü-123"}
REDACT = Redaction(LISTED, environment=ENVIRONMENT)

PRIVATE = [
    *(around.format(secret) for around, secret in CANARIES.values()), *LISTED[:2], "cust-77", "MÜLLER", "=",
    "Passwd: ", "tok", "en=", "a1b2c3d4e5f6", "sk-", "Bearer ", "/home/", "bob", "@", "x@y.de", "C:\\Users\\eve",
    "-Users-eve-", "/", *ENVIRONMENT.values(),
]  # fmt: skip
SUSPICIOUS = [
    "ignore", "all", "previous", "instructions", "Disregard", "the", "above", "rules", "you", "are", "now", "no longer",
    "bound", "from now on", "act as", "if you were", "system", "developer", ": always", "<|im_start|>", "[/INST]",
    "do not", "tell", "user", "reveal", "your", "hidden", "prompt", "upload", "the secrets", "忽略", "指令", "a new",
    "task is", "god mode", "enabled", "<system_prompt>", "without", "telling", "override", "forget",
]  # fmt: skip
PLAIN = ["x = 1", "naïve", "→ 中", "😀", "\ud83d", "é" * 3, "return value", "\0", "ſ"]
TEXTS = st.lists(
    st.one_of(st.sampled_from(PRIVATE), st.sampled_from(SUSPICIOUS), st.sampled_from(PLAIN)).flatmap(
        lambda piece: st.sampled_from([piece, piece, piece.upper()])
    ),
    max_size=8,
).flatmap(lambda pieces: st.sampled_from([" ", "\n", ""]).map(lambda between: between.join(pieces)))


def redacted(text: str) -> str:
    """The text after every detector looked at all of it."""
    room = redaction
    redact = REDACT
    finders = [
        *(("listed", room._word(word)) for word in redact._words),
        *(("listed", room._finder(pattern)) for pattern in redact._patterns),
        *(("environment", room._literal(secret)) for secret in redact._environment),
        *(("key", room._key_finder(pattern)) for _, pattern in room.KEYS),
        *((group.kind, find) for group in room._GROUPS for find in group.finders),
    ]
    for kind, find in finders:
        text = redact._replaced(text, list(find(text)), kind)
    return text


def said(turn: Turn) -> Iterator[tuple[str, str]]:
    yield from (("task", turn.task), ("answer", turn.answer))
    for number, step in enumerate(turn.steps, start=1):
        yield f"step {number} result", step.result
        for name, value in step.arguments.items():
            if isinstance(value, str):
                yield f"step {number} {name}", value


def flagged(turn: Turn) -> set[tuple[str, str]]:
    """Kind and place of every flag, each pattern tried on each text."""
    return {
        (kind, where)
        for where, text in said(turn)
        for kind, pattern in injection._PATTERNS
        if len(text) >= SHORTEST_TEXT
        and pattern.search(text)
        and (where != "task" or kind in ("override", "forged role"))
    }


def of(texts: list[str]) -> Transcript:
    task, answer, result, argument, deep, title = texts
    step = Step(tool="bash", arguments={"command": argument, "more": [{"deep": deep}]}, result=result)
    first = turn(task, step, answer=answer, context={"branch": deep}, extra={"kept": [argument]})
    return transcript(first, turn("quiet", answer=task, context={"branch": "main"}), title=title)


@given(st.lists(TEXTS, min_size=6, max_size=6))
def test_marks_decide_nothing(texts: list[str]):
    clean = REDACT.cleaned(of(texts))
    whole = clean.transcript
    first, second = whole.turns
    assert [first.task, first.answer, first.steps[0].result, whole.title, second.answer] == [
        redacted(text) for text in (texts[0], texts[1], texts[2], texts[5], texts[0])
    ]
    assert first.steps[0].arguments == {"command": redacted(texts[3]), "more": [{"deep": redacted(texts[4])}]}
    assert (first.context, first.extra) == ({"branch": redacted(texts[4])}, {"kept": [redacted(texts[3])]})
    assert (second.context, second.extra) == ({"branch": "main"}, {})
    flags = flags_of(whole.turns, clean.suspects)
    assert flags == flags_of(whole.turns)
    for each, found in zip(whole.turns, flags, strict=True):
        assert {(flag.kind, flag.where) for flag in found} == flagged(each)


@given(TEXTS)
def test_one_text_and_a_value_come_out_alike(text: str):
    assert REDACT.text(text) == redacted(text)
    assert REDACT.json({"a": [text, 1, None]}) == {"a": [redacted(text), 1, None]}
