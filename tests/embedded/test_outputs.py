"""Answers parse in every layout for every kind of output, at the first attempt: no adapter's fallback is allowed."""

import enum
from typing import Any, Literal

import dspy
import pytest
from pydantic import BaseModel

from strop.embedded import MODELS, answer
from tests.embedded.requests_by_hand import request

TEXT = "Anna Berg, age 41, lives in Oslo & repairs <red> bikes. She has 3 dogs and a cat of 5 kg."


class Person(BaseModel):
    name: str
    age: int
    tags: list[str] = []


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


KINDS: dict[str, Any] = {
    "str": str, "bool": bool, "int": int, "float": float, "Literal": Literal["a b", "c"],
    "Literal of int": Literal[1, 2], "Enum": Colour, "list[str]": list[str], "list[int]": list[int],
    "list[Literal]": list[Literal["x", "y"]],
    "dict": dict[str, int], "Optional[float]": float | None, "Optional[str]": str | None,
    "Optional[Literal]": Literal["a", "b"] | None, "pydantic": Person, "list of pydantic": list[Person],
    "tuple": tuple[str, int],
}  # fmt: skip


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter])
@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_parses(adapter: type[dspy.ChatAdapter], kind: str) -> None:
    fields: dict[str, Any] = {
        "text": (str, dspy.InputField()),
        "reasoning": (str, dspy.OutputField()),
        "found": (KINDS[kind], dspy.OutputField()),
    }
    signature = dspy.Signature(fields, "Do what the fields say.")
    for model in MODELS:
        for temperature in (None, 1.0):
            asked = request(signature, {"text": TEXT}, adapter=adapter(), temperature=temperature)
            parsed = adapter().parse(signature, answer(model, asked).text or "")
            assert parsed.keys() == {"reasoning", "found"}
            assert parsed["reasoning"]


def test_an_object_is_filled_from_the_text() -> None:
    signature = dspy.Signature({"text": (str, dspy.InputField()), "person": (Person, dspy.OutputField())})
    reply = answer("embedded/small", request(signature, {"text": TEXT})).text or ""
    person = dspy.ChatAdapter().parse(signature, reply)["person"]
    assert (person.name, person.age) == ("Anna Berg", 41)


@pytest.mark.parametrize(("text", "value"), [("What is 12 + 30?", 42), ("7 * 6", 42), ("5 - 8", -3)])
def test_sums_are_worked_out(text: str, value: int) -> None:
    signature = dspy.Signature("question -> answer: int")
    reply = answer("embedded/small", request(signature, {"question": text})).text or ""
    assert dspy.ChatAdapter().parse(signature, reply)["answer"] == value


def test_numbers_follow_the_examples() -> None:
    signature = dspy.Signature("rooms: int, area: float -> price: float")
    demos = [{"rooms": rooms, "area": 20.0 * rooms, "price": 1000.0 * rooms} for rooms in range(1, 9)]
    reply = answer("embedded/large", request(signature, {"rooms": 6, "area": 121.0}, demos=demos)).text or ""
    assert dspy.ChatAdapter().parse(signature, reply)["price"] == pytest.approx(6000, rel=0.1)


def test_a_score_between_two_texts_grows_with_their_agreement() -> None:
    signature = dspy.Signature("reference, response -> score: float", "Give a score between 0 and 1.")
    reference = "The parcel was delivered to the wrong house on Monday."

    def score(response: str) -> float:
        asked = request(signature, {"reference": reference, "response": response})
        return dspy.ChatAdapter().parse(signature, answer("embedded/medium", asked).text or "")["score"]

    same, near, far = score(reference), score("A parcel was delivered wrong."), score("Bananas are yellow.")
    assert 0 <= far < near < same <= 1


def test_a_flag_about_two_texts_is_their_agreement() -> None:
    signature = dspy.Signature("question, expected, answer -> is_right: bool")
    for given, right in (("in Paris", True), ("Paris", True), ("Madrid", False)):
        asked = request(signature, {"question": "Where is it?", "expected": "Paris", "answer": given})
        assert dspy.ChatAdapter().parse(signature, answer("embedded/large", asked).text or "") == {"is_right": right}


def test_summaries_are_sentences_of_the_text_and_as_long_as_asked() -> None:
    text = " ".join(f"The harbour of town {number} has {number + 3} cranes and a long quay." for number in range(9))
    for wording, most in (("Summarise in one sentence.", 1), ("Write a summary in two sentences.", 2)):
        signature = dspy.Signature("document -> summary", wording)
        reply = answer("embedded/small", request(signature, {"document": text})).text or ""
        summary = dspy.ChatAdapter().parse(signature, reply)["summary"]
        assert summary.count(".") == most
        assert all(part.strip() in text for part in summary.split("."))


def test_lists_take_after_the_examples() -> None:
    signature = dspy.Signature("text -> found: list[str]")
    demos = [{"text": "We met Ada Hill in Rome.", "found": ["Ada Hill", "Rome"]}] * 2
    asked = request(signature, {"text": "later the group saw Otto Lang near Bern again"}, demos=demos)
    assert dspy.ChatAdapter().parse(signature, answer("embedded/small", asked).text or "")["found"] == [
        "Otto Lang",
        "Bern",
    ]
