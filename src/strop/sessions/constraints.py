"""The rules that a signature may set for every output. The grammar is strict: what cannot be checked is an error."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from strop.errors import SettingsError

GRAMMAR = "contains:X, min_length:N, max_length:N, regex:P, one_of:a|b, json_schema:{...}"
PATTERN_SECONDS = 1.0
"""A regular expression that has found nothing after so long counts as not matched."""
LONGEST_PATTERN = 1000
LONGEST_OUTPUT = 100_000
"""Characters of an output that `regex` and `json_schema` read; a longer one does not keep them."""
_log = logging.getLogger("strop.sessions")

Judge = Callable[[str, str], bool]
"""Asked a rule in plain words and an output: does the output keep the rule?"""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """One rule: its text, whether an output keeps it, and whether that is a judge's opinion."""

    text: str
    holds: Callable[[str], bool]
    judged: bool = False


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
    """The rules that an output breaks, as they were written."""
    return tuple(rule.text for rule in constraints if not rule.holds(output))


def _one(text: str, judge: Judge | None) -> Constraint:
    kind, colon, value = text.partition(":")
    make = _KINDS.get(kind.strip().lower())
    if colon and make is not None and value.strip():
        return Constraint(text=text, holds=make(text, value))
    in_words = not re.fullmatch(r"\s*\w+\s*:.*|\s*\w*\s*", text, re.DOTALL)
    if judge is not None and in_words:
        return Constraint(text=text, holds=partial(_asked, judge, text.strip()), judged=True)
    raise SettingsError(f"constraint {text!r} is not understood", hint=f"known: {GRAMMAR}")


def _asked(judge: Judge, question: str, output: str) -> bool:
    return judge(question, output)


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
