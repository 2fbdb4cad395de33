"""Success is what evidence says, and never what the assistant says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from strop.agents import Evidence, derive
from strop.agents.checks import checks_in, verdict
from strop.agents.importers import importer_for
from strop.agents.outcome import with_evidence
from strop.agents.reply import read
from tests.agents.turns import bash, edit, transcript, turn

LOGS = Path(__file__).parent / "logs"


def said(*steps, **more) -> bool | None:
    return derive([turn("t", *steps, **more)], 0).success


@pytest.mark.parametrize(
    ("command", "exit_code", "expected"),
    [
        ("cd x && pytest -q", 0, True),
        ("cd x && pytest -q", 1, False),
        ("bash -lc 'cd a && go test ./...'", 1, False),
        ("FOO=1 timeout 60 uv run --with x pytest -x 2>&1", 1, False),
        ("npm run build && npm run test:unit", 0, True),
        ("npm ci && npm test", 1, False),
        ("cat > t.py <<'EOF'\nimport x\nEOF\npytest -q t.py", 1, False),
        ("set -e\npytest\necho done", 1, False),
        ("set -euo pipefail; pytest | tail -3", 1, False),
        ("(cd sub && cargo test)", 101, False),
        ("pytest || exit 1", 1, False),
        ("python3 -m unittest -q test_calc", 0, True),
        ("./gradlew :app:test", 1, False),
        ("make -j4", 2, False),
        ("npx tsc --noEmit", 2, False),
        ("ruff check . && mypy src", 0, True),
        ("dotnet test", 0, True),
        ("python manage.py test shop", 1, False),
        ("vendor/bin/phpunit --filter Cart", 0, True),
        ("bundle exec rspec", 1, False),
        ("cmake --build build && ctest --test-dir build", 0, True),
        ("mvn -q -Dtest=CartTest test", 1, False),
        # The exit code is not the check's own.
        ("pytest -q | tail -5", 0, None),
        ("pytest; echo $?", 0, None),
        ("pytest\necho done", 0, None),
        ("pytest || true", 0, None),
        ("pytest &", 0, None),
        ("pytest > out.txt; cat out.txt", 0, None),
        ("if pytest; then echo ok; fi", 0, None),
        ("! pytest -q", 0, None),
        ("pytest -q; exit 0", 0, None),
        ("git diff --exit-code && pytest && git push", 1, None),
        # The check did not get to its end.
        ("pytest -q", 127, None),
        ("timeout 5 pytest -q", 124, None),
        ("pytest -q", 137, None),
        ("pytest -q tests/none", 5, None),
        ("pytest -q", None, None),
        # No check at all.
        ("cat > t.py <<'EOF'\npytest\nEOF", 0, None),
        ("echo pytest", 0, None),
        ("grep -rn 'npm test' .", 1, None),
        ("pip install pytest", 0, None),
        ("npm install", 1, None),
        ("pytest --version", 0, None),
        ("ls tests", 0, None),
        ("python -c 'import pytest'", 1, None),
    ],
)
def test_the_exit_code_of_a_check_is_believed_where_it_is_the_checks_own(command, exit_code, expected):
    assert said(bash(command, exit_code)) is expected


def test_the_last_run_of_a_check_counts():
    assert said(bash("pytest", 1), edit(), bash("pytest", 0)) is True
    assert said(bash("pytest", 0), edit(), bash("pytest", 1)) is False


def test_a_check_before_the_last_edit_says_nothing():
    assert said(bash("pytest", 0), edit()) is None
    assert said(bash("pytest", 1), edit()) is None
    assert said(bash("pytest", 0), bash("sed -i s/a/b/ src/x.py")) is None
    assert said(bash("pytest", 0), edit("README.md")) is True


def test_a_linter_that_passes_does_not_outweigh_a_failed_test():
    assert said(bash("pytest", 1), bash("ruff check .", 0)) is False
    assert said(bash("make", 2), bash("make test", 0)) is True


def test_a_denied_or_killed_check_is_no_check():
    assert said(bash("pytest", None, status="denied"), answer="It is done.") is None
    assert said(bash("pytest", 0, status="aborted")) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("no, that is wrong", False),
        ("No. Use the other API", False),
        ("still fails", False),
        ("thanks, but it does not work", False),
        ("Great, now the tests fail with KeyError", False),
        ("That works, but the build is broken now", False),
        ("undo that", False),
        ("hm, same error", False),
        ("that’s not what I asked for", False),
        ("funktioniert immer noch nicht", False),
        ("ça ne marche pas", False),
        ("no funciona", False),
        ("不对,还是不行", False),
        ("thanks", True),
        ("No problem, thanks!", True),
        ("ok it works now", True),
        ("Perfect! Now add a login page", True),
        ("LGTM, commit it", True),
        ("danke, passt", True),
        ("parfait merci", True),
        ("¡Gracias!", True),
        ("谢谢", True),
        ("[ticket 7] Thanks.", True),
        ("No need to do that, just add X", None),
        ("no tests are needed", None),
        ("the login page does not work", None),
        ("If it still fails, run it again", None),
        ("Please fix the failing tests", None),
        ("Thanks in advance", None),
        ("it works?", None),
        ("great but slow", None),
        ("Now rename it to foo", None),
        ("Explain this:\n```\nerror: still fails\n```", None),
        ("", None),
    ],
)
def test_the_next_message_is_read_with_care(message, expected):
    assert read(message).says is expected
    assert derive([turn("t"), turn(message)], 0).success is expected


def test_stronger_evidence_decides_and_the_weaker_is_kept():
    label = Evidence(kind="label_file", says=True, where="labels.jsonl:1", text="labelled")
    broken = turn("t", bash("pytest", 1), label=False, reverted=True, finish="interrupted")
    outcome = derive([broken, turn("thanks")], 0, label=label)
    assert outcome.success is True
    assert [(each.kind, each.says) for each in outcome.evidence] == [
        ("label_file", True), ("label", False), ("revert", False), ("check", False), ("reply", True), ("broken", False),
    ]  # fmt: skip
    assert said(bash("pytest", 1), label=True) is True
    assert said(bash("pytest", 0), reverted=True) is False
    assert derive([turn("t", finish="interrupted"), turn("thanks")], 0).success is True


@pytest.mark.parametrize(
    "words", ["no, that is wrong", "still fails", "undo that", "Why did you do it? That is wrong."]
)
def test_a_person_who_has_seen_the_test_pass_and_says_no_is_right(words):
    outcome = derive([turn("t", edit(), bash("pytest", 0)), turn(words)], 0)
    assert outcome.success is False
    assert [(each.kind, each.says, each.where) for each in outcome.evidence] == [
        ("rejection", False, "next turn"), ("check", True, "step 2"),
    ]  # fmt: skip


@pytest.mark.parametrize("words", ["why did you rename it", "There is another problem with the login page"])
def test_a_doubt_or_another_trouble_does_not_outweigh_a_passing_test(words):
    assert derive([turn("t", bash("pytest", 0)), turn(words)], 0).success is True
    assert derive([turn("t"), turn(words)], 0).success is False


def test_thanks_do_not_outweigh_a_failed_test():
    outcome = derive([turn("t", bash("pytest", 1)), turn("thanks")], 0)
    assert outcome.success is False
    assert [(each.kind, each.says) for each in outcome.evidence] == [("check", False), ("reply", True)]


def test_a_label_outweighs_the_person_who_says_no():
    assert derive([turn("t", label=True), turn("no, that is wrong")], 0).success is True


def test_a_rejection_stays_one_when_a_judge_is_added_later():
    outcome = derive([turn("t", bash("pytest", 0)), turn("no, that is wrong")], 0)
    judged = with_evidence(outcome, Evidence(kind="judge", says=True, where="judge", text="fine"))
    assert judged.success is False
    assert [each.kind for each in judged.evidence] == ["rejection", "check", "judge"]


def test_a_broken_turn_failed_and_is_not_complete():
    for more in ({"error": "APIError: 400"}, {"finish": "interrupted"}, {"finish": "error"}):
        outcome = derive([turn("t", **more)], 0)
        assert (outcome.success, outcome.complete) == (False, False)
    denied = derive([turn("t", bash("rm -r build", None, status="denied"), answer="", finish="tools")], 0)
    assert (denied.success, denied.complete) == (False, False)
    killed = derive([turn("t", bash("sleep 99", None, status="unfinished"), answer="", finish="unknown")], 0)
    assert (killed.success, killed.complete) == (False, False)


def test_a_claim_of_success_is_no_evidence():
    outcome = derive([turn("t", edit(), answer="All tests pass, everything works perfectly!")], 0)
    assert (outcome.success, outcome.complete, outcome.evidence) == (None, True, ())


def test_a_label_of_the_session_counts_for_its_only_turn():
    assert derive([turn("t")], 0, session_label=True).success is True
    assert derive([turn("t"), turn("u")], 0, session_label=True).success is None


def test_a_judge_is_asked_only_where_nothing_else_speaks():
    asked = []

    def judge(judged):
        asked.append(judged.task)
        return False, "the answer is wrong"

    assert derive([turn("t", bash("pytest", 0))], 0, judged=judge).success is True
    assert asked == []
    assert derive([turn("u")], 0, judged=judge).success is False
    assert asked == ["u"]


def test_a_codex_session_that_claims_success_after_a_failed_test_failed():
    log = next(iter(sorted(LOGS.rglob("false_success*.jsonl"))))
    found = next(iter(importer_for("codex").read(log)))
    outcome = derive(found.turns, 0)
    assert "tests pass" in found.turns[0].answer
    assert outcome.success is False
    assert [(each.kind, each.text) for each in outcome.evidence] == [
        ("check", "test `python3 -m unittest -q test_calc` exited with 1")
    ]


@pytest.mark.parametrize("piece", ["$(", "'", '"', "((", "a|", "<<E\n", "\\", "&&", "pytest;", "`"])
def test_a_hostile_command_is_read_in_no_time(piece):
    begun = time.process_time()
    for check in checks_in(piece * 20_000):
        verdict(check, 1)
    derive([turn("t"), turn((piece + " no that is ") * 20_000)], 0)
    assert time.process_time() - begun < 3


def test_transcripts_of_one_turn_have_no_reply():
    assert derive(transcript(turn("thanks")).turns, 0).success is None
