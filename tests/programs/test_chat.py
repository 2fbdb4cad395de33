"""What is remembered between calls is what DSPy would write each time."""

from __future__ import annotations

from typing import Any, Literal

import dspy
import pytest

from strop.programs.chat import ChatAdapter


class Sorted(dspy.Signature):
    """Sort the text.

    Take care.
    """

    text: str = dspy.InputField(desc="what to sort")
    hints: list[str] = dspy.InputField()
    kind: Literal["a", "b"] = dspy.OutputField(desc="which")
    score: float = dspy.OutputField()


DEMOS: list[Any] = [
    dspy.Example(text="x", hints=["h"], kind="a", score=1.0, augmented=True),
    {"text": "y", "kind": "b"},
    dspy.Example(text="z", kind="b", score=0.5),
]
SIGNATURES = [
    dspy.Signature("question -> answer"),
    dspy.Signature("question -> answer", "Say it."),
    Sorted,
    Sorted.with_instructions("Other words."),
    Sorted.with_updated_fields("kind", desc="other"),
]


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("demos", [[], DEMOS, DEMOS[:1], DEMOS[1:]])
def test_messages_are_dspys_the_first_time_and_after(signature: Any, demos: list[Any]) -> None:
    inputs = {name: ["one"] if name == "hints" else "some text" for name in signature.input_fields}
    expected = dspy.ChatAdapter().format(signature, demos, inputs)
    for _ in range(2):
        assert ChatAdapter().format(signature, demos, inputs) == expected


def test_a_demo_changed_in_place_is_written_anew() -> None:
    demo = dspy.Example(question="q", answer="old")
    signature = dspy.Signature("question -> answer")
    ChatAdapter().format(signature, [demo], {"question": "x"})
    demo["answer"] = "new"
    after = ChatAdapter().format(signature, [demo], {"question": "x"})
    assert after == dspy.ChatAdapter().format(signature, [demo], {"question": "x"})
    assert "new" in str(after)


def test_instructions_and_descriptions_changed_in_place_are_written_anew() -> None:
    signature: Any = dspy.Signature("question -> answer", "First.")
    ChatAdapter().format(signature, [], {"question": "x"})
    signature.instructions = "Second."
    signature.output_fields["answer"].json_schema_extra["desc"] = "in one word"
    after = ChatAdapter().format(signature, [], {"question": "x"})
    assert after == dspy.ChatAdapter().format(signature, [], {"question": "x"})
    assert "Second." in str(after)
    assert "in one word" in str(after)


def test_messages_handed_out_may_be_changed_without_harm() -> None:
    demo = dspy.Example(question="q", answer="a")
    signature = dspy.Signature("question -> answer")
    expected = dspy.ChatAdapter().format(signature, [demo], {"question": "x"})
    for message in ChatAdapter().format(signature, [demo], {"question": "x"}):
        message["content"] = "spoiled"
    assert ChatAdapter().format(signature, [demo], {"question": "x"}) == expected
