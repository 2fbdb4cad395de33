"""The texts that are foretold are those that a run sends."""

from __future__ import annotations

import pytest

from strop.gateway import ModelSettings, estimated_tokens
from strop.programs import ProgramSpec, build, rendered, running_on
from tests.support.simulated import MODEL, respond, world

DEMO = {"text": "a shell", "label": "shells"}


@pytest.mark.parametrize("strategy", ["predict", "cot"])
@pytest.mark.parametrize("shown", [[], [DEMO, {"text": "a game", "label": "games"}]])
def test_the_request_is_the_one_that_a_run_sends(strategy, shown):
    spec = ProgramSpec(signature="text -> label", strategy=strategy, instructions="Choose one.")
    answer = "[[ ## reasoning ## ]]\nso\n\n[[ ## label ## ]]\nshells\n\n[[ ## completed ## ]]"
    with world(lambda request, rollout, index: respond(answer)) as w:
        program = build(spec)
        for predictor in program.predictors():
            predictor.demos = list(shown)
        with running_on(w.gateway.lm(ModelSettings(model=MODEL), w.account(), phase="dev")):
            program(text="a file manager")
        request = w.simulation.asked[0]
    found = rendered(spec, [({"text": "a file manager"}, {"label": "shells"})], shown)[0]
    sent = [request.system or "", *(message.text or "" for message in request.messages)]
    assert found.asked == "\n".join(sent)
    assert found.answered.count("[[ ## label ## ]]\nshells") == 1
    assert ("reasoning" in found.answered) == (strategy == "cot")


def test_an_embedded_model_counts_its_own_tokens_and_others_have_four_bytes():
    text = "[[ ## label ## ]]\nschön"
    assert estimated_tokens("embedded/small", text) == 12
    assert estimated_tokens("openai/gpt-4.1", text) == 6
