"""The short way to a question's bytes is the long way's, to the byte; what is stored of it is redacted whole."""

from __future__ import annotations

import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st

from strop.gateway import Redactor
from strop.gateway.call import canonical
from strop.gateway.question import Question

TEXT = st.text(min_size=1, max_size=40)
TURN = st.tuples(st.sampled_from(["user", "assistant"]), TEXT)
LIMIT = st.none() | st.integers(1, 10_000)
TEMPERATURE = st.none() | st.floats(0, 2)


def written(system: str | None, turns: list[tuple[str, str]], limit: int | None, heat: float | None) -> bytes:
    """The request as DSPy makes it, by the general way."""
    make = {"user": lm15.Message.user, "assistant": lm15.Message.assistant}
    return canonical(
        lm15.Request(
            model="m/x",
            messages=tuple(make[role](text) for role, text in turns),
            system=system,
            config=lm15.Config(max_tokens=limit, temperature=heat),
        )
    )


@given(system=st.none() | TEXT, turns=st.lists(TURN, min_size=1, max_size=4), limit=LIMIT, heat=TEMPERATURE)
def test_plain_questions_have_the_bytes_of_the_request(
    system: str | None, turns: list[tuple[str, str]], limit: int | None, heat: float | None
) -> None:
    messages = [{"role": role, "content": text} for role, text in turns]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    question = Question.plain("m/x", messages, {"max_tokens": limit, "temperature": heat})
    assert question is not None
    expected = written(system, turns, limit, heat)
    assert question.body == expected
    assert canonical(question.request) == expected
    assert (question.messages, question.max_tokens) == (len(turns), limit)
    assert question.stored(Redactor()) == Redactor()(expected.decode())


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([], {}),
        ([{"role": "system", "content": "alone"}], {}),
        ([{"role": "tool", "content": "x"}], {}),
        ([{"role": "user", "content": ""}], {}),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], {}),
        ([{"role": "user", "content": "x", "name": "y"}], {}),
        ([{"role": "user", "content": "x"}], {"top_p": 0.5}),
        ([{"role": "user", "content": "x"}], {"max_tokens": 0}),
        ([{"role": "user", "content": "x"}], {"temperature": 1}),
        ([{"role": "user", "content": "half \ud800"}], {}),
    ],
)
def test_everything_else_takes_the_general_way(messages: list[dict[str, object]], options: dict[str, object]) -> None:
    assert Question.plain("m/x", messages, options) is None


def test_a_secret_learned_late_is_taken_out_of_what_was_redacted_before() -> None:
    redact = Redactor()

    def ask(text: str) -> str:
        messages = [{"role": "system", "content": "key swordfish-9000"}, {"role": "user", "content": text}]
        question = Question.plain("m/x", messages, {})
        assert question is not None
        return question.stored(redact)

    assert "swordfish-9000" in ask("first")
    redact.learn("swordfish-9000")
    assert "swordfish" not in ask("second")
    assert "sk-abcd1234abcd1234abcd" not in ask("mine is sk-abcd1234abcd1234abcd")
