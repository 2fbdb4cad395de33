"""Requests for the tests, laid out by DSPy's own adapters."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import dspy
from dspy.lm15 import Config, Message, Request

from strop.embedded import answer
from tests.embedded.task_families import Family, Item


def request(
    signature: type[dspy.Signature],
    inputs: Mapping[str, Any],
    *,
    demos: Sequence[Mapping[str, Any]] = (),
    adapter: dspy.Adapter | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
) -> Request:
    """The request that DSPy would send."""
    messages = (adapter or dspy.ChatAdapter()).format(signature, [dict(demo) for demo in demos], dict(inputs))
    system = next((one["content"] for one in messages if one["role"] == "system"), None)
    turns = [one for one in messages if one["role"] != "system"]
    return Request(
        model="embedded/small",
        system=system,
        messages=tuple(
            Message.user(one["content"]) if one["role"] == "user" else Message.assistant(one["content"])
            for one in turns
        ),
        config=Config(temperature=temperature, max_tokens=max_tokens),
    )


def signature_of(family: Family, instruction: str | None = None) -> type[dspy.Signature]:
    """The family's signature, its output a Literal when the family has labels."""
    kind: Any = Literal[family.labels] if family.labels else str
    fields: dict[str, Any] = {name: (str, dspy.InputField()) for name in family.test[0].inputs}
    fields[family.output] = (kind, dspy.OutputField())
    return dspy.Signature(fields, instruction or family.instruction)


class Asking:
    """Asks a model about a family's items, under one instruction and with some examples."""

    def __init__(
        self, family: Family, model: str, instruction: str | None = None, shown: Sequence[Item] = (), size: int = 150
    ) -> None:
        self.family = family
        self.model = f"embedded/{model}"
        self.size = size
        self.signature = signature_of(family, instruction)
        first = request(
            self.signature, family.test[0].inputs, demos=[{**one.inputs, family.output: one.answer} for one in shown]
        )
        self.system = first.system
        self.turns = first.messages[:-1]
        self.last = first.messages[-1].text or ""

    def request(self, item: Item, temperature: float | None = None) -> Request:
        """The request about one item; the layout is DSPy's, with the item's values put in."""
        text = self.last
        for name, value in self.family.test[0].inputs.items():
            text = text.replace(f"[[ ## {name} ## ]]\n{value}", f"[[ ## {name} ## ]]\n{item.inputs[name]}")
        return Request(
            model=self.model,
            system=self.system,
            messages=(*self.turns, Message.user(text)),
            config=Config(temperature=temperature),
        )

    def text(self, item: Item, temperature: float | None = None, **draw: Any) -> str:
        return answer(self.model, self.request(item, temperature), **draw).text or ""

    def accuracy(self) -> float:
        """Percent right on the family's test items."""
        test = self.family.test[: self.size]
        right = sum(self._value(self.text(item)) == item.answer for item in test)
        return 100 * right / len(test)

    def _value(self, text: str) -> str:
        return text.split(f"[[ ## {self.family.output} ## ]]\n")[1].split("\n\n[[ ## ", maxsplit=1)[0]
