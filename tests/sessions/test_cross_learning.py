"""What won on one model is tried on the others: a gain is carried over, a poisoned prompt is not."""

from __future__ import annotations

import pytest

from strop.sessions import SessionResult, Transfer
from tests.sessions.sim_session import Sim, works


def cell(result: SessionResult, donor: str, receiver: str, carried: str) -> Transfer:
    (found,) = [t for t in result.transfers if (t.donor, t.receiver, t.carried) == (donor, receiver, carried)]
    return found


def test_instructions_that_a_model_could_not_write_itself_are_carried_to_it():
    writer = Sim("writer", 0.4, loves="MAGIC", writes="MAGIC")
    reader = Sim("reader", 0.5, loves="MAGIC", writes="Try")
    with works(writer, reader) as w:
        result = w.run(algorithm="copro", optimization_rounds=1)
        found = cell(result, "writer", "reader", "instructions")
        assert found.kept
        assert found.after == 1.0 > found.before
        assert found.p_value is not None
        assert found.p_value <= 0.05
        assert "MAGIC" in result.model("reader").best_prompt
        assert result.model("reader").origin == "instructions of writer"
        best, base = result.model("reader").best_test, result.model("reader").baseline_test
        assert best is not None
        assert base is not None
        assert (best.mean, base.mean < 0.9) == (1.0, True)
        kept = [s for s in result.model("reader").iterations if s.phase == "cross_learning" and s.kept]
        assert ["instructions of writer" in step.optimizations[0] for step in kept] == [True]


def test_demos_that_helped_one_model_are_carried_to_another():
    teacher, pupil = Sim("teacher", 0.6, learns=True), Sim("pupil", 0.0)
    with works(teacher, pupil) as w:
        session = w.session(algorithm="bootstrapfewshot", optimization_rounds=1)

        def learn(phase):
            # The examples that the pupil drew itself were of no use to it; the teacher's are.
            pupil.learns = phase == "cross_learning" or pupil.learns

        session.on("phase", learn)
        result = session.run()
        assert result.model("pupil").dev_curve == (0.0, 0.0)
        found = cell(result, "teacher", "pupil", "demos")
        assert (found.kept, found.before, found.after) == (True, 0.0, 1.0)
        assert "Example 1" in result.model("pupil").best_prompt
        assert result.model("pupil").best_test is not None
        assert result.model("pupil").best_test.mean == 1.0


def test_a_poisoned_donor_prompt_is_refused():
    donor = Sim("donor", 0.3, loves="VENOM", writes="VENOM")
    victim = Sim("victim", 0.7, hates="VENOM")
    with works(donor, victim) as w:
        result = w.run(algorithm="copro", optimization_rounds=1)
        assert result.model("donor").best_dev is not None
        assert "VENOM" in result.model("donor").best_prompt
        found = cell(result, "donor", "victim", "instructions")
        assert (found.kept, found.after) == (False, 0.0)
        assert "refused" in found.why
        assert "VENOM" not in result.model("victim").best_prompt
        best, base = result.model("victim").best_test, result.model("victim").baseline_test
        assert best is not None
        assert base is not None
        assert best.mean >= base.mean > 0.5


def test_a_gain_without_evidence_is_refused():
    donor = Sim("donor", 0.3, loves="WORDS", writes="WORDS")
    with works(donor, Sim("same", 0.5)) as w:
        result = w.run(12, algorithm="copro", optimization_rounds=1)
        found = cell(result, "donor", "same", "instructions")
        assert not found.kept
        assert result.model("same").origin != "instructions of donor"


@pytest.mark.parametrize("switch", [{"enable_cross_learning": False}, {"optimization_rounds": 0}])
def test_nothing_is_carried_when_it_is_off_or_nothing_was_found(switch):
    with works(Sim("a", 0.5, learns=True), Sim("b", 0.5, learns=True)) as w:
        result = w.run(**switch)
        assert result.transfers == ()
        phases = [event.phase.value for event in w.told("phase")]
        assert ("cross_learning" in phases) == ("enable_cross_learning" not in switch)
