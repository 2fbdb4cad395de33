"""The grammar of constraints: every kind, every refusal, and that no rule can hang or reach the network."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest

from strop.errors import SettingsError
from strop.sessions.constraints import Opinion, broken, kept_share, parse


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("contains:Battery", "the BATTERY lasts", "it lasts"),
        ("Contains: straße", "an der STRASSE", "am Weg"),
        ("min_length:5", "12345", "1234"),
        ("max_length: 5", "12345", "123456"),
        (r"regex:^\d{3}-\d{4}$", "555-0100", "5550100"),
        ("one_of:yes|no", " yes\n", "yes and no"),
        ('json_schema:{"type":"object","required":["a"]}', '{"a": 1}', '{"b": 1}'),
        ('json_schema:{"type":"object"}', "{}", "not JSON {}"),
        ('json_schema:{"type":"number"}', "1.5", "NaN"),
        ('json_schema:{"type":"string","pattern":"^a+$"}', '"aaa"', '"ab"'),
        ('json_schema:{"$defs":{"n":{"type":"integer"}},"items":{"$ref":"#/$defs/n"}}', "[1, 2]", '[1, "2"]'),
    ],
)
def test_every_kind_tells_a_good_output_from_a_bad_one(rule, good, bad):
    rules = parse([rule])
    assert kept_share(rules, good) == 1.0
    assert kept_share(rules, bad) == 0.0
    assert broken(rules, bad) == (rule,)


@pytest.mark.parametrize(
    "rule",
    [
        "", "contains:", "contain:x", "be polite", "min_length:ten", "min_length:-1", "max_length:1_000",
        "min_length:٣",
        "regex:(", "one_of:a||b", "json_schema:{", 'json_schema:{"type":"thing"}', "minLength:5", "regex:" + "a" * 1001,
        "regex:(?:(?:a{1,99999}){1,99999})",
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_an_error(rule):
    with pytest.raises(SettingsError):
        parse([rule])


def test_rules_that_no_output_can_keep_together_are_an_error():
    with pytest.raises(SettingsError, match="at least 100 and at most 50"):
        parse(["min_length:10", "min_length:100", "max_length:50"])


def test_share_counts_rules_and_an_empty_output_keeps_none():
    rules = parse(["contains:a", "max_length:3", "regex:b$"])
    assert kept_share(rules, "aab") == 1.0
    assert kept_share(rules, "aaaa") == pytest.approx(1 / 3)
    assert kept_share(rules, " \n") == 0.0
    assert kept_share((), "anything") == 1.0


@pytest.fixture
def impatient(monkeypatch):
    """So that a test does not wait for the whole bound."""
    monkeypatch.setattr("strop.sessions.constraints.PATTERN_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("source", ["(a|aa)+$", r"(\w+\s?)*\.$"])
def test_an_expression_that_explodes_is_refused_or_ends_in_time(source):
    began = time.monotonic()
    with suppress(SettingsError):
        assert kept_share(parse([f"regex:{source}"]), "a" * 5000 + "!") == 0.0
    assert time.monotonic() - began < 20


@pytest.mark.usefixtures("impatient")
def test_an_expression_that_explodes_on_an_output_only_counts_as_not_matched():
    (rule,) = parse([r"regex:XYZ(?:q|qq)+\d"])  # the probes never reach the part that explodes
    began = time.monotonic()
    assert not rule.holds("XYZ" + "q" * 3000 + "!")
    assert time.monotonic() - began < 15


@pytest.mark.usefixtures("impatient")
def test_a_pattern_inside_a_schema_is_bounded_too():
    with pytest.raises(SettingsError, match="too long"):
        parse(['json_schema:{"properties":{"x":{"pattern":"(a|aa)+$"}}}'])
    with pytest.raises(SettingsError, match="patternProperties"):
        parse(['json_schema:{"patternProperties":{"(a+)+$":{}}}'])


def test_a_schema_fetches_nothing_and_ends():
    with pytest.raises(SettingsError, match="outside itself"):
        parse(['json_schema:{"$ref":"http://127.0.0.1:9/schema.json"}'])
    with pytest.raises(SettingsError, match="without end"):
        parse(['json_schema:{"$ref":"#"}'])


def test_a_document_nested_without_measure_is_no_match():
    rules = parse(['json_schema:{"type":"array"}'])
    assert kept_share(rules, "[" * 60_000) == 0.0
    assert kept_share(rules, json.dumps([1])) == 1.0


def test_on_request_a_rule_in_words_is_a_question_to_a_judge():
    asked: list[tuple[str, str]] = []

    def judge(question: str, output: str) -> Opinion:
        asked.append((question, output))
        return Opinion(kept="please" in output, reason="it commands" if "please" not in output else "")

    rules = parse(["be polite to the reader", "max_length:20"], judge=judge)
    assert [rule.judged for rule in rules] == [True, False]
    assert kept_share(rules, "sit down, please") == 1.0
    assert kept_share(rules, "sit down") == 0.5
    assert asked[0] == ("be polite to the reader", "sit down, please")
    assert broken(rules, "sit down, all of you!") == ("be polite to the reader (it commands)", "max_length:20")


def agrees(_question: str, _output: str) -> Opinion:
    return Opinion(kept=True)


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ("contian:x", "contains"), ("contain: x", "contains"),
        ("max-length: 5", "max_length"), ("max length: 5", "max_length"), ("maxLength:5", "max_length"),
        ("max_length=5", "max_length"), ("max_length 5", "max_length"), ("max length 5", "max_length"),
        ("length: 5", "min_length"), ("min: 5", "min_length"), ("regexp: ^a", "regex"), ("schema: {}", "json_schema"),
        ("one of: a|b", "one_of"), ("one of a|b", "one_of"), ("starts_with: Dear", ""), ("language:de", ""),
        ("maxWords: 5", ""), ("polite", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_judge_is_not_asked_what_was_meant_for_the_grammar(rule, meant):
    with pytest.raises(SettingsError, match="is not understood") as error:
        parse([rule], judge=agrees)
    hint = error.value.hint or ""
    assert hint.startswith(f"did you mean {meant}:?" if meant else "known: contains:X")


@pytest.mark.parametrize(
    ("rule", "example"),
    [
        ("one_of:", "one_of:yes|no"), ("one_of", "one_of:yes|no"), ("contains: ", "contains:kettle"),
        ("MIN_LENGTH:", "min_length:20"), ("max_length", "max_length:200"), ("regex:", "regex:^[A-Z]"),
        ("json_schema:", 'json_schema:{"type": "object"}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("judge", [None, agrees])
def test_a_name_of_the_grammar_without_its_value_is_told_what_it_needs(rule, example, judge):
    with pytest.raises(SettingsError, match="is not understood") as error:
        parse([rule], judge=judge)
    assert error.value.hint == f"it needs a value, as in {example}"
    parse([example])


def test_a_value_of_the_grammar_that_cannot_be_read_is_no_question_either():
    with pytest.raises(SettingsError, match="needs a number"):
        parse(["min_length:ten"], judge=agrees)


@pytest.mark.parametrize(
    "rule",
    [
        "polite in tone", "be polite: no swearing", "Tone: warm", "contains the name of a city",
        "one of the benefits is named", "Contents: listed one by one", "max 5 words", "explain why a=b holds",
        "contains no jargon: none at all",
    ],
)  # fmt: skip
def test_plain_words_are_a_question_also_where_they_have_a_colon(rule):
    (found,) = parse([rule], judge=agrees)
    assert found.judged
    assert found.holds("any output")


def test_without_a_judge_plain_words_are_an_error_that_says_how_to_get_one():
    with pytest.raises(SettingsError, match="'polite in tone' is not understood") as error:
        parse(["polite in tone"])
    assert "known: contains:X" in (error.value.hint or "")
    assert "judge_model, --judge MODEL" in (error.value.hint or "")


def test_what_is_empty_or_without_measure_is_not_put_to_a_judge():
    asked = []
    rules = parse(["be polite to all"], judge=lambda _rule, output: asked.append(output) or Opinion(kept=True))
    assert kept_share(rules, " ") == 0.0
    assert broken(rules, " ") == ("be polite to all",)
    assert broken(rules, "a" * 100_001) == ("be polite to all (too long to be judged)",)
    assert asked == []
