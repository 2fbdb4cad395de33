"""The coding metric: the promises of its documents, each with numbers worked out by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.errors import MetricError
from strop.metrics import NEGATIVE, build, fingerprint, plan_text

ACTIONS = [
    {"tool": "read", "args": {"filePath": "shop/cart.py"}, "success": True},
    {"tool": "edit", "args": {"filePath": "shop/cart.py", "oldString": "a", "newString": "b"}, "success": True},
    {"tool": "bash", "args": {"command": "pytest -q"}, "success": True},
]
PLAN = "read(shop/cart.py); edit(shop/cart.py); bash(pytest -q)"
TOLD = "The cart multiplies by quantity now; tests pass."
EXPECTED = {"plan": PLAN, "response": TOLD}


def score(plan: Any, response: str = TOLD, expected: dict[str, Any] | None = None, **settings: Any) -> float:
    return parts(plan, response, expected, **settings)[0]


def parts(
    plan: Any, response: str = TOLD, expected: dict[str, Any] | None = None, **settings: Any
) -> tuple[float, dict[str, float]]:
    metric = build({"name": "coding_agent", **settings})
    answer = {"reasoning": "because", "plan": plan, "response": response}
    found = metric.score(inputs={"task": "t"}, expected=expected or EXPECTED, answer=answer, usage=None)
    return found.value, dict(found.parts)


def test_the_reference_is_written_as_the_document_has_it() -> None:
    assert plan_text(ACTIONS) == PLAN
    assert score(ACTIONS, expected={"actions": ACTIONS, "expected_response": TOLD}) == 1


@pytest.mark.parametrize(
    ("plan", "response"),
    [
        (PLAN, TOLD),
        (ACTIONS, "Quantities are multiplied in the cart, and all tests pass."),
        (PLAN, "Done."),
        ("read(/home/me/srv/shop/cart.py); edit(./shop/cart.py); bash(cd /home/me/work && pytest -q)", TOLD),
        ("grep(quantity); read(shop/cart.py); edit(shop/cart.py); bash(pytest -q)", TOLD),
    ],
)
def test_a_correct_plan_scores_above_nine_tenths(plan: Any, response: str) -> None:
    assert score(plan, response) > 0.9


@pytest.mark.parametrize("plan", ["", "x", "nothing", [], None])
def test_nothing_was_done(plan: Any) -> None:
    assert score(plan, "Nothing was done.") < 0.2


TASK = "Let the cart multiply by quantity; the tests must pass"


def test_an_echoed_task() -> None:
    assert score(TASK, TASK) < 0.3


@pytest.mark.parametrize(
    "plan",
    [
        "done completed successfully finished added fixed",
        "read edit bash pytest cart done",
        "done(); completed(); successfully(); finished()",
        "read(x); edit(y); bash(z)",
        "; ".join(f"{tool}({on})" for tool in ("read", "edit", "bash", "write", "grep") for on in "abcdefg"),
    ],
)
def test_keywords_are_no_plan(plan: str) -> None:
    assert score(plan, "done completed successfully finished added fixed tests pass") < 0.3


def test_the_parts_by_hand() -> None:
    # Two of three steps: the look weighs half, so 1.5 of 2.5; three expected and two made; 'tests pass' are 2 of the
    # 5 words that say something (cart, multiplies, quantity, tests, pass): F1 4/7, and 0.6 is full.
    value, found = parts("read(shop/cart.py); edit(shop/cart.py)", "Tests pass.")
    assert found == pytest.approx({"success": 0.6, "efficiency": 0.6, "correctness": (4 / 7) / 0.6})
    assert value == pytest.approx(0.5 * 0.6 + 0.3 * 0.6 + 0.2 * (4 / 7) / 0.6)


def test_efficiency_is_the_documented_formula() -> None:
    four = "bash(git status); " + PLAN
    assert parts(four)[1]["efficiency"] == pytest.approx(3 / 4)
    six = "bash(a); bash(b); bash(c); " + PLAN
    assert parts(six)[1] == pytest.approx({"success": 4.5 / 6, "efficiency": 0, "correctness": 1})


def test_the_order_of_looks_does_not_matter_and_that_of_changes_does() -> None:
    two = {"plan": "read(a.py); read(b.py); edit(a.py); bash(pytest)", "response": TOLD}
    assert score("read(b.py); read(a.py); edit(a.py); bash(pytest)", expected=two) == 1
    assert parts("bash(pytest); edit(a.py); read(a.py); read(b.py)", expected=two)[1]["success"] < 0.6


def test_a_wrong_file_is_worth_next_to_nothing() -> None:
    assert parts("read(shop/mail.py); edit(shop/mail.py); bash(pytest -q)")[1]["success"] == pytest.approx(
        (0.5 * 0.1 + 0.1 + 1) / 2.5
    )


def test_saying_that_it_failed_contradicts_success() -> None:
    assert parts(PLAN, "The cart could not be fixed, tests pass.")[1]["correctness"] == 0
    failed = {"plan": PLAN, "response": "I was unable to fix the cart."}
    assert parts(PLAN, "I was unable to fix the cart.", failed)[1]["correctness"] == 1


def test_an_answer_without_tools() -> None:
    asked = {"plan": "", "response": "Totals are rounded in shop/prices.py, in the function rounded."}
    assert score("", "The function rounded in shop/prices.py rounds totals.", asked) > 0.9
    assert score(PLAN, "The function rounded in shop/prices.py rounds totals.", asked) <= 0.2
    assert score("", "Nothing was done.", asked) < 0.2


def test_a_negative_is_never_right_to_repeat() -> None:
    failed = {"plan": f"{NEGATIVE}edit(shop/cart.py); bash(pytest -q)", "response": "not known"}
    assert score("edit(shop/cart.py); bash(pytest -q)", "not known", failed) == 0
    assert score("edit(shop/cart.py)", expected=failed) == 0
    assert score("", "Nothing was done.", failed) == 0
    assert score(PLAN, expected=failed) == 0.5


def test_weights() -> None:
    only: dict[str, Any] = {"weights": {"success": 3, "correctness": 1}}
    assert score("", TOLD, **only) == pytest.approx(0.25)
    older: dict[str, Any] = {
        "weights": {"tool_validity": 3, "plan_coherence": 2, "first_action_match": 2, "reasoning": 1, "efficiency": 1}
    }
    assert score(PLAN, **older) == pytest.approx(8 / 9)  # one word is no reasoning
    assert score("teleport(shop/cart.py)", **older) == 0
    assert fingerprint(build({"name": "coding_agent", **only})) != fingerprint(build("coding_agent"))


@pytest.mark.parametrize("weights", [{}, {"success": 0}, {"success": -1, "efficiency": 2}, {"speed": 1}])
def test_weights_that_cannot_be_used(weights: dict[str, float]) -> None:
    with pytest.raises(MetricError):
        build({"name": "coding_agent", "weights": weights})


def test_an_example_without_a_plan_is_no_example() -> None:
    with pytest.raises(MetricError, match="label `plan` or `actions`"):
        score(PLAN, expected={"label": "x"})


calls = st.lists(
    st.sampled_from(["read(a)", "edit(a)", "edit(b)", "bash(pytest -q)", "bash(pytest)", "x(y)"]), max_size=7
)


@given(calls, calls, st.text(max_size=30))
def test_scores_stay_between_0_and_1_and_the_reference_is_best(wanted: list[str], plan: list[str], told: str) -> None:
    expected = {"plan": "; ".join(wanted), "response": TOLD}
    best, value = score("; ".join(wanted), expected=expected), score("; ".join(plan), told, expected)
    assert best == pytest.approx(1)
    assert 0 <= value <= 1 + 1e-9
