"""A prompt is read back as what went into it, in every layout that DSPy 3.4 writes."""

from typing import Literal

import dspy
import pytest
from dspy.lm15 import Message, Request
from hypothesis import given
from hypothesis import strategies as st

from strop.embedded import answer, prompt
from strop.embedded.fields import Demo
from tests.embedded.requests_by_hand import request

ADAPTERS = [dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter]


class Sorting(dspy.Signature):
    """Sort the message.

    - fruit: apple, pear
    """

    message: str = dspy.InputField(desc="what somebody wrote")
    hint: str = dspy.InputField()
    shelf: Literal["fruit", "hard ware (new)"] = dspy.OutputField(desc="where it goes: one shelf")
    note: str = dspy.OutputField()


DEMOS = [
    {"message": "an apple & a <pear>", "hint": "sweet", "shelf": "fruit", "note": "1 < 2 & 3"},
    {"message": "two nails", "hint": "iron", "shelf": "hard ware (new)", "note": "line\nbreak"},
    {"message": "only half", "hint": "?", "shelf": "fruit"},
]
INPUTS = {"message": "three\n\npears", "hint": "[1] {x}"}


def check(read: prompt.Prompt) -> None:
    assert dict(read.inputs) == INPUTS
    task = read.task
    assert [one.name for one in task.inputs] == ["message", "hint"]
    assert [one.name for one in task.outputs] == ["shelf", "note"]
    assert task.outputs[0].shape.labels == ("fruit", "hard ware (new)")
    assert task.outputs[0].desc == "where it goes: one shelf"
    assert task.instructions == "Sort the message.\n\n- fruit: apple, pear"
    expected = [
        Demo(
            inputs={name: one[name] for name in ("message", "hint")},
            outputs={name: one[name] for name in ("shelf", "note") if name in one},
        )
        for one in (DEMOS[2], *DEMOS[:2])
    ]
    assert list(task.demos) == expected


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapters_layout_is_read_back(adapter: type[dspy.ChatAdapter]) -> None:
    check(prompt.read(request(Sorting, INPUTS, demos=DEMOS, adapter=adapter())))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_system_text_folded_into_the_first_user_turn_is_read_back(adapter: type[dspy.ChatAdapter]) -> None:
    whole = request(Sorting, INPUTS, demos=DEMOS, adapter=adapter())
    first, *others = whole.messages
    folded = Request(model=whole.model, messages=(Message.user(f"{whole.system}\n\n{first.text}"), *others))
    check(prompt.read(folded))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_one_flat_text_is_read_back(adapter: type[dspy.ChatAdapter]) -> None:
    whole = request(Sorting, INPUTS, demos=DEMOS, adapter=adapter())
    turns = "\n".join(f"### {one.role.capitalize()}:\n{one.text}\n" for one in whole.messages)
    check(prompt.read(Request(model=whole.model, messages=(Message.user(f"### System:\n{whole.system}\n\n{turns}"),))))


@given(message=st.text(max_size=60), hint=st.text(max_size=30))
def test_any_input_is_answered_and_read_back_where_it_has_no_marks(message: str, hint: str) -> None:
    asked = request(Sorting, {"message": message, "hint": hint}, demos=DEMOS[:1])
    assert "[[ ## completed ## ]]" in (answer("embedded/small", asked).text or "")
    if "[[" not in message + hint:
        read = prompt.read(asked)
        assert read.inputs["message"] == message.strip()


def test_a_plain_prompt_offers_labels_and_examples() -> None:
    text = """Sort each message into one of: fruit, metal.

Message: a ripe apple
Shelf: fruit

Message: a rusty nail
Shelf: metal

Message: nail and apple nail
Shelf:"""
    read = prompt.read(Request(model="embedded/small", messages=(Message.user(text),)))
    assert read.task.outputs[0].shape.labels == ("fruit", "metal")
    assert [demo.outputs["answer"] for demo in read.task.demos] == ["fruit", "metal"]
    assert dict(read.inputs) == {"Message": "nail and apple nail"}
    reply = answer(
        "embedded/large", Request(model="embedded/large", messages=(Message.user("a red apple, one of: fruit, metal"),))
    )
    assert reply.text in {"fruit", "metal"}


def test_the_same_prefix_is_studied_once() -> None:
    first = prompt.read(request(Sorting, {"message": "a", "hint": "b"}, demos=DEMOS))
    second = prompt.read(request(Sorting, {"message": "c", "hint": "d"}, demos=DEMOS))
    assert first.task is second.task
    assert first.digest != second.digest
