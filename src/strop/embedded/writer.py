"""Writes what optimisers ask a model for: instructions, rules, advice, and notes on data.

It recognises such a request by its fields' names, finds the labelled rows in it, and writes down what they show.
"""

import json
import re
from collections.abc import Mapping
from random import Random
from typing import Literal, cast

from strop.embedded import lore
from strop.embedded.fields import Field, Task
from strop.embedded.lore import Lore, Style
from strop.embedded.personality import Personality
from strop.embedded.rows import Row, find_rows, known_labels
from strop.embedded.skill import Asked, Skill, Value
from strop.embedded.words import join_words, shorten, words

Role = Literal["instruction", "rules", "advice", "observations", "summary", "description", "prefix"]

_GUIDE = re.compile(r"\n*^(?:Guide:|- [^:\n]{1,60}: .*)$", re.MULTILINE)
_STYLE_LINE = re.compile(r"Copy the exact short span[^\n]*")
_ATTEMPT = re.compile(r"Instruction #\d+: (.*?)[»\s\[\d\]«]*Prefix #\d+:.*?Resulting Score #\d+: (-?[\d.]+)", re.DOTALL)
_ARROW = re.compile(r"(\w+(?:, *\w+)*)(?:: *\w+)? *-> *(\w+(?:, *\w+)*)")
_MANNERS = (
    "Read the whole input before answering.",
    "Answer with the requested value alone.",
    "Weigh the most telling words of the input.",
    "Be exact and do not explain.",
    "Prefer the plainest reading of the input.",
    "Take a moment to compare all possible answers.",
)
_SPAN_MANNER = "Copy the exact short span from the input."
# Prior observations stay out: what is written now is added to them, and would count twice.
_NOT_GUIDES = ("examples", "task_demos", "program_", "prior_observations")
_BASES = ("basic_instruction", "current_instruction", "previous_instruction", "instruction")


def recognise(task: Task, field: Field) -> Role | None:  # noqa: PLR0911 - one return a role
    """What kind of writing an output field asks for, None when it is an ordinary answer."""
    if field.shape.kind not in {"text", "unknown", "map"} or task.demos:
        return None
    name = field.name.lower()
    given = {one.name for one in task.inputs}
    if field.shape.kind == "map":
        return "advice" if "advice" in name else None
    if "prefix" in name and "instruction" in " ".join(one.name for one in task.outputs):
        return "prefix"
    if name == "summary" and "observations" in given:
        return "summary"
    if name in {"program_description", "module_description"}:
        return "description"
    for pattern, role in (
        ("instruction|prompt$", "instruction"),
        ("rules?$|guideline|guidance", "rules"),
        ("advice", "advice"),
        ("observation", "observations"),
    ):
        if re.search(pattern, name):
            return cast("Role", role)
    return "instruction" if re.search(r"\b(?:new|better|improved) instruction", field.desc.lower()) else None


def writing(field: Field, role: Role, personality: Personality) -> Skill:
    """A skill that writes in this role."""

    def skill(asked: Asked) -> Value:
        random = asked.sampling or asked.noise
        draft = _Draft(asked.inputs, personality, random, asked.temperature)
        if role == "advice":
            advice = draft.advice()
            return cast("Value", advice) if field.shape.kind == "map" else "\n".join(advice.values())
        return draft.write(role)

    return skill


class _Draft:
    """One piece of writing in the making: the rows and lore of the prompt, and the chance to vary it."""

    def __init__(self, inputs: Mapping[str, str], personality: Personality, random: Random, temperature: float) -> None:
        self.inputs = inputs
        self.personality = personality
        self.random = random
        self.temperature = temperature
        self.rows = find_rows(inputs)
        told = "\n".join(inputs.values())
        self.labels = known_labels([told]) or self._labels_of_rows()
        self.classifies = bool(self.labels)
        self.lore = Lore()
        if self.classifies:
            lore.from_rows(self.rows, self.labels, self.lore)
            for name, text in inputs.items():
                if not name.startswith(_NOT_GUIDES):
                    lore.from_guide(text, self.labels, self.lore)
        self.style = None if self.classifies else lore.style_of(self.rows)

    def _labels_of_rows(self) -> tuple[str, ...]:
        guided = tuple(
            label
            for name, text in self.inputs.items()
            if name not in {"examples", "task_demos", "examples_with_feedback"}
            for label in lore.guide_labels(text)
        )
        seen = tuple(row.answer for row in self.rows) if lore.label_like(self.rows) else ()
        return tuple(dict.fromkeys((*guided, *seen)))

    def write(self, role: Role) -> str:
        match role:
            case "prefix":
                return self.random.choice(("Answer:", "The answer is:", "Result:")) if self.temperature else "Answer:"
            case "description":
                return self._description()
            case "observations" | "summary":
                return self._notes()
            case "rules":
                return self._rules()
            case _:
                return self._instruction()

    def _words(self, label: str, generous: float = 1.0) -> list[str]:
        limit = self.personality.written_words * generous
        if self.temperature:
            limit *= self.random.uniform(0.7, 1.0)
        return self.lore.best_words(label, max(2, round(limit)), self.personality, self.random, self.temperature)

    def _description(self) -> str:
        text = "\n".join(self.inputs.values())
        found = _ARROW.search(text)
        asked, answered = (found[1], found[2]) if found else ("the input", "the answer")
        return f"The program reads {asked} and gives {answered}."

    def _notes(self) -> str:
        """Notes on rows: words per label with how often each was seen, so that later notes can add up."""
        if not self.classifies:
            return self._style_notes()
        lines: list[str] = []
        for label in sorted(self.lore.counts):
            chosen = self._words(label, generous=3.0)
            known = self.lore.counts[label]
            by_spelling = {self.lore.spelling[root]: times for root, times in known.items()}
            if chosen:
                lines.append(f"- {label}: " + ", ".join(f"{word} ({round(by_spelling[word])})" for word in chosen))
        field = self.rows[0].field if self.rows else "answer"
        opening = f"The rows show which words of the input go with which {field or 'answer'}."
        return "\n".join([opening, *lines, "Everything else looked like chance."]) if lines else opening

    def _style_notes(self) -> str:
        sentence = self._style_sentence(self.style)
        if sentence:
            return f"The rows have free answers. {sentence}"
        kept = [match[0] for text in self.inputs.values() for match in _STYLE_LINE.finditer(text)]
        if kept:
            return f"The rows have free answers. {kept[-1]}"
        return f"The rows are short texts. For example {shorten(next(iter(self.inputs.values()), ''), 120)}"

    @staticmethod
    def _style_sentence(style: Style | None) -> str:
        if style is None:
            return ""
        if style.numeric:
            return "Answers are plain numbers."
        if style.copied and style.average_words <= 6:
            most = max(1, round(style.average_words + 1))
            follow = f" They often follow {join_words(repr(word) for word in style.before)}." if style.before else ""
            return f"{_SPAN_MANNER[:-1]}; answers are 1-{most} words long.{follow}"
        return f"Answers are about {round(style.average_words)} words long."

    def _base(self) -> str:
        """The instruction to start from, without its guide: the current one, or the best of those tried."""
        tried = _ATTEMPT.findall(self.inputs.get("attempted_instructions", ""))
        if tried:
            return max(tried, key=lambda one: float(one[1]))[0].strip()
        return next((self.inputs[name] for name in _BASES if self.inputs.get(name)), "Answer from the input.").strip()

    def _instruction(self) -> str:
        base = self._base()
        if not self.classifies:
            return self._free_instruction(base)
        parts = [_GUIDE.sub("", base).strip() or "Choose the label that fits the input."]
        if self.temperature and self.random.random() < 0.5 * self.temperature:
            manner = self.random.choice(_MANNERS)
            if manner not in parts[0]:
                parts[0] += f" {manner}"
        guide = [f"- {label}: {', '.join(found)}" for label in self.labels if (found := self._guide_words(label))]
        return "\n\n".join([*parts, "Guide:\n" + "\n".join(guide)] if guide else parts)

    def _guide_words(self, label: str) -> list[str]:
        return self._words(label) if label in self.lore.counts else []

    def _free_instruction(self, base: str) -> str:
        sentence = self._style_sentence(self.style)
        if not sentence:
            kept = [match[0] for text in self.inputs.values() for match in _STYLE_LINE.finditer(text)]
            sentence = kept[-1] if kept else ""
        if not sentence and self.temperature:
            manners = (
                (*_MANNERS, _SPAN_MANNER) if re.search(r"question|context|passage|answer", base, re.I) else _MANNERS
            )
            sentence = self.random.choice([one for one in manners if one not in base] or list(manners))
        base = _STYLE_LINE.sub("", base).strip() if _STYLE_LINE.search(sentence) else base
        return f"{base} {sentence}".strip() if sentence not in base else base

    def _rules(self) -> str:
        if not self.classifies:
            return self._style_sentence(self.style) or _MANNERS[0]
        lines = [
            f"{number}. If the input mentions {' or '.join(found)}, answer `{label}`."
            for number, (label, found) in enumerate(
                ((label, self._guide_words(label)) for label in self.labels), start=1
            )
            if found
        ]
        return "\n".join(lines) or _MANNERS[0]

    def advice(self) -> dict[str, str]:
        """Advice per module from one row: when its words come, its answer, and not the wrong one."""
        names = _module_names(self.inputs.get("module_names", ""))
        if not self.rows:
            return dict.fromkeys(names, _MANNERS[0])
        return dict.fromkeys(names, self._advice_on(self.rows[0]))

    def _advice_on(self, row: Row) -> str:
        if self.labels and row.answer not in self.labels:
            return _MANNERS[2]
        if not self.labels:
            return self._style_sentence(lore.style_of([row]))
        alone = Lore()
        for label in self.labels:
            alone.learn(label, ())
        alone.learn(row.answer, words(row.text))
        found = alone.best_words(
            row.answer, max(2, self.personality.written_words // 2), self.personality, self.random, self.temperature
        )
        against = f", not `{row.wrong}`" if row.wrong in self.labels else ""
        return f"If the input mentions {' or '.join(found)}, answer `{row.answer}`{against}."


def _module_names(text: str) -> list[str]:
    try:
        loaded: object = json.loads(text)
    except ValueError:
        loaded = re.findall(r"[\w.\[\]]+", text)
    return [str(name) for name in cast("list[object]", loaded)] if isinstance(loaded, list) else ["self"]
