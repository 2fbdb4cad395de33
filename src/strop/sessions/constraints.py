"""The rules that a signature may set for every output. The grammar is strict: what cannot be checked is an error."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, cast

from strop.errors import SettingsError

GRAMMAR = "contains:X, min_length:N, max_length:N, regex:P, one_of:a|b, json_schema:{...}"
PATTERN_SECONDS = 1.0
"""A regular expression that has found nothing after so long counts as not matched."""
LONGEST_PATTERN = 1000
LONGEST_OUTPUT = 100_000
"""Characters of an output that `regex` and `json_schema` read; a longer one does not keep them."""
_log = logging.getLogger("strop.sessions")

ALIKE = 0.78
"""Likeness (0..1) from which on a name is taken for a misspelt one of the grammar."""
IN_WORDS = "the judge is asked about rules in plain words, of two words or more"
BY_JUDGE = "plain words need a judge (judge_model, --judge MODEL)"


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """A judge's answer: whether an output keeps a rule, and why in a few words."""

    kept: bool
    reason: str = ""


Judge = Callable[[str, str], Opinion]
"""Asked a rule in plain words and an output: does the output keep the rule?"""


def _nothing(_output: str) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """One rule: its text, whether an output keeps it, and whether that is a judge's opinion, with its reason."""

    text: str
    holds: Callable[[str], bool]
    judged: bool = False
    why: Callable[[str], str] = _nothing


def parse(texts: Sequence[str], *, judge: Judge | None = None) -> tuple[Constraint, ...]:
    """The rules of a signature. Lengths are characters, `contains` ignores case, `one_of` compares trimmed text.

    With a `judge`, a rule that is not of the grammar is a question to it; a misspelt or incomplete one of the grammar
    is an error all the same.

    Raises:
        SettingsError: a rule that is not of the grammar, cannot be read, or rules that no output can keep together.
    """
    rules = tuple(_one(text, judge) for text in texts)
    least, most = _limits(texts, "min_length", max), _limits(texts, "max_length", min)
    if least is not None and most is not None and least > most:
        raise SettingsError(f"no output has at least {least} and at most {most} characters")
    return rules


def kept_share(constraints: Sequence[Constraint], output: str) -> float:
    """Share of the rules that an output keeps; 1 without rules, 0 for an empty output."""
    if not output.strip():
        return 0.0
    return sum(rule.holds(output) for rule in constraints) / len(constraints) if constraints else 1.0


def broken(constraints: Sequence[Constraint], output: str) -> tuple[str, ...]:
    """The rules that an output breaks, as they were written; a judge's reason is added."""
    if not output.strip():
        return tuple(rule.text for rule in constraints)
    lost = [rule for rule in constraints if not rule.holds(output)]
    return tuple(f"{rule.text[:60]} ({why})" if (why := rule.why(output)) else rule.text for rule in lost)


def _one(text: str, judge: Judge | None) -> Constraint:
    kind, colon, value = text.partition(":")
    make = _KINDS.get(kind.strip().lower())
    if colon and make is not None and value.strip():
        return Constraint(text=text, holds=make(text, value))
    meant = _meant(text)
    if judge is not None and meant is None and len(text.split()) > 1:
        return _judged(text, judge)
    hint = f"known: {GRAMMAR}; {BY_JUDGE if judge is None else IN_WORDS}"
    if make is not None:
        hint = f"it needs a value, as in {_EXAMPLES[kind.strip().lower()]}"
    elif meant:
        hint = f"did you mean {meant}:? {hint}"
    raise SettingsError(f"constraint {text!r} is not understood", hint=hint)


def _judged(text: str, judge: Judge) -> Constraint:
    rule = text.strip()

    def opinion(output: str) -> Opinion:
        if not output.strip():
            return Opinion(kept=False)
        if len(output) > LONGEST_OUTPUT:
            return Opinion(kept=False, reason="too long to be judged")
        return judge(rule, output)

    return Constraint(
        text=text, holds=lambda output: opinion(output).kept, judged=True, why=lambda output: opinion(output).reason
    )


def _meant(text: str) -> str | None:
    """The kind of the grammar that a text seems to be meant for; "" for one that the grammar does not have.

    Plain words are None: `be polite: no swearing`, `Tone: warm`. What looks like a kind is not: `contain:x`,
    `max-length: 5`, `min_length 50`, `language:de`.
    """
    found = re.match(r"\s*(.*?)\s*([:=])", text, re.DOTALL)
    head = found[1] if found else text.split(maxsplit=1)[0] if text.split() else ""
    bare = re.sub(r"[\W_]", "", head).lower()
    single, names = len(head.split()) == 1, {kind.replace("_", ""): kind for kind in _KINDS}
    if found is None:
        two = "".join(text.split()[:2]).lower()
        if two in names and (two != "oneof" or "|" in text):
            return names[two]
        alone = len(text.split()) == 1
        return names[bare] if bare in names and (alone or bare != "contains") else None
    likeness = {kind: SequenceMatcher(None, bare, name).ratio() for name, kind in names.items()}
    nearest = max(likeness, key=lambda kind: likeness[kind])
    shared = [
        kind for name, kind in names.items()
        if len(bare) > 2 and (name.startswith(bare) or name.endswith(bare) or bare.startswith(name))
    ]  # fmt: skip
    if likeness[nearest] >= ALIKE or (single and shared):
        return nearest if likeness[nearest] >= ALIKE else shared[0]
    coined = "_" in head or re.search("[a-z][A-Z]", head) or not re.match(r"\s", text[found.end() :])
    return "" if single and coined else None


def _contains(_text: str, value: str) -> Callable[[str], bool]:
    wanted = value.strip().casefold()
    return lambda output: wanted in output.casefold()


def _length(text: str, value: str) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        raise SettingsError(f"constraint {text!r} needs a number of characters", hint="min_length:100")
    return int(value)


def _limits(texts: Sequence[str], wanted: str, pick: Callable[[Iterable[int]], int]) -> int | None:
    parts = [text.partition(":") for text in texts]
    found = [int(value) for kind, _, value in parts if kind.strip().lower() == wanted]
    return pick(found) if found else None


def _at_least(text: str, value: str) -> Callable[[str], bool]:
    limit = _length(text, value)
    return lambda output: len(output) >= limit


def _at_most(text: str, value: str) -> Callable[[str], bool]:
    limit = _length(text, value)
    return lambda output: len(output) <= limit


def _regex(text: str, value: str) -> Callable[[str], bool]:
    return _bounded(value, f"constraint {text[:80]!r}")


def _bounded(source: str, where: str) -> Callable[[str], bool]:
    """A search that ends: a pattern that explodes on a simple probe is refused, one that explodes later finds nothing.

    Raises:
        SettingsError: no regular expression, or one that takes too long.
    """
    import regex

    if len(source) > LONGEST_PATTERN or sum(int(times) for times in re.findall(r"[0-9]{3,9}", source)) > LONGEST_OUTPUT:
        raise SettingsError(f"{where}: the regular expression is too large")
    try:
        pattern = regex.compile(source)
    except (regex.error, RecursionError, OverflowError) as error:
        raise SettingsError(f"{where} is no regular expression: {error}") from None

    def found(output: str) -> bool:
        return len(output) <= LONGEST_OUTPUT and pattern.search(output, timeout=PATTERN_SECONDS) is not None

    def safe(output: str) -> bool:
        try:
            return found(output)
        except TimeoutError:
            _log.warning("%s: no answer within %s s on an output of %d characters", where, PATTERN_SECONDS, len(output))
            return False

    try:
        for letter in sorted({*re.findall(r"\w", source)[:12], "a", " "}):
            found(letter * 200 + "\0")
    except TimeoutError:
        raise SettingsError(
            f"{where} takes too long on simple texts", hint="avoid repeats inside repeats, as in (a+)+"
        ) from None
    return safe


def _one_of(text: str, value: str) -> Callable[[str], bool]:
    allowed = {each.strip() for each in value.split("|")}
    if "" in allowed:
        raise SettingsError(f"constraint {text!r} has an empty choice", hint="one_of:yes|no")
    return lambda output: output.strip() in allowed


def _json_schema(text: str, value: str) -> Callable[[str], bool]:
    """Draft 2020-12. Nothing is fetched: a schema may only refer to its own parts."""
    import jsonschema
    from jsonschema.validators import extend
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        schema: Any = json.loads(value)
        jsonschema.Draft202012Validator.check_schema(schema)
    except (ValueError, RecursionError, jsonschema.SchemaError) as error:
        raise SettingsError(f"constraint {text!r} is no JSON schema: {str(error).splitlines()[0]}") from None
    matches = {source: _bounded(source, f"pattern {source!r}") for source in _patterns(schema, text)}

    def pattern(_validator: object, source: str, instance: object, _schema: object) -> Iterable[Any]:
        if isinstance(instance, str) and not matches[source](instance):
            yield jsonschema.ValidationError("does not match the pattern")

    kind: Any = extend(jsonschema.Draft202012Validator, {"pattern": pattern})
    validator: Any = kind(schema, registry=Registry())

    def valid(document: object) -> bool:
        try:
            return bool(validator.is_valid(document))
        except (Unresolvable, RecursionError) as error:
            raise SettingsError(
                f"constraint {text!r} refers to something outside itself, or to itself without end"
            ) from error

    def holds(output: str) -> bool:
        if len(output) > LONGEST_OUTPUT:
            return False
        try:
            return valid(json.loads(output, parse_constant=_refuse))
        except (ValueError, RecursionError):
            return False

    for probe in ({}, [], "", 0, None):
        valid(probe)
    return holds


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _patterns(schema: object, text: str) -> set[str]:
    """All patterns in a schema. `patternProperties` is refused: its searches could not be bounded."""
    if isinstance(schema, Mapping):
        named = cast("Mapping[str, object]", schema)
        if "patternProperties" in named:
            raise SettingsError(f"constraint {text!r}: patternProperties is not supported", hint="name the properties")
        own = named.get("pattern")
        below = set[str]().union(*(_patterns(each, text) for each in named.values()))
        return below | {own} if isinstance(own, str) else below
    if isinstance(schema, list):
        return set[str]().union(*(_patterns(each, text) for each in cast("list[object]", schema)))
    return set()


_KINDS: dict[str, Callable[[str, str], Callable[[str], bool]]] = {
    "contains": _contains,
    "min_length": _at_least,
    "max_length": _at_most,
    "regex": _regex,
    "one_of": _one_of,
    "json_schema": _json_schema,
}
_EXAMPLES = {
    "contains": "contains:kettle", "min_length": "min_length:20", "max_length": "max_length:200",
    "regex": "regex:^[A-Z]", "one_of": "one_of:yes|no", "json_schema": 'json_schema:{"type": "object"}',
}  # fmt: skip
