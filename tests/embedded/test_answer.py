"""`answer` is a pure function that any thread or process may call, and it counts and refuses honestly."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from dspy.lm15 import Config, Message, Request

from strop.embedded import MODELS, answer, stream_text
from strop.errors import CallFailed
from tests.embedded.requests_by_hand import Asking
from tests.embedded.task_families import facts, topics


def digest(threads: int) -> str:
    """One number for the answers to 240 requests of three kinds."""
    family = topics(31)
    asked = [
        Asking(family, "small", shown=family.train[:8]),
        Asking(family, "large", family.guided()),
        Asking(facts(31), "medium", "Copy the exact short span."),
    ]
    jobs = [(one, item, temperature) for one in asked for item in one.family.test[:40] for temperature in (None, 1.0)]
    with ThreadPoolExecutor(threads) as pool:
        texts = list(pool.map(lambda job: job[0].text(job[1], job[2], seed=3, rollout=5, index=1), jobs))
    return sha256("\0".join(texts).encode()).hexdigest()


def test_threads_processes_and_hash_seeds_change_nothing_and_no_socket_is_opened() -> None:
    code = """
import sys
from tests.embedded.test_answer import digest
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event.startswith("socket.") else None)
print(digest(4), opened, "litellm" in sys.modules)
"""
    here = digest(1)
    assert digest(4) == here
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{here} [] False"


def test_at_temperature_zero_only_the_seed_matters_and_above_it_rollouts_differ() -> None:
    family = topics(32)
    asking = Asking(family, "small")
    items = family.test[:60]

    def texts(temperature: float, **draw: int) -> list[str]:
        return [asking.text(item, temperature, **draw) for item in items]

    assert texts(0.0, rollout=1) == texts(0.0, rollout=2, index=4)
    assert texts(0.0) != texts(0.0, seed=9)
    assert texts(1.0, rollout=1) == texts(1.0, rollout=1)
    assert texts(1.0, rollout=1) != texts(1.0, rollout=2)
    assert texts(1.0, index=0) != texts(1.0, index=1)


def test_a_request_longer_than_the_window_is_refused_by_the_models_it_does_not_fit() -> None:
    request = Request(model="embedded/small", messages=(Message.user("word " * 20_000),))
    with pytest.raises(CallFailed) as refused:
        answer("embedded/small", request)
    assert refused.value.kind == "context_window"
    assert "20000 tokens" in refused.value.detail
    assert answer("embedded/medium", request).text


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(CallFailed, match="embedded/medium") as refused:
        answer("embedded/huge", Request(model="embedded/huge", messages=(Message.user("hi"),)))
    assert refused.value.kind == "not_found"


def test_usage_counts_tokens_by_the_published_rule() -> None:
    asking = Asking(topics(33), "small")
    request = asking.request(asking.family.test[0])
    response = answer("embedded/small", request)

    def rule(text: str) -> int:
        return len(re.findall(r"\w{1,4}|[^\w\s]", text))

    assert response.usage.input_tokens == rule(str(request.system)) + sum(
        rule(one.text or "") for one in request.messages
    )
    assert response.usage.output_tokens == rule(response.text or "")
    assert response.provider_data == {"offline_model": True}
    assert response.finish_reason == "stop"


def test_max_tokens_cuts_the_answer_and_says_so() -> None:
    asking = Asking(topics(34), "small")
    whole = asking.request(asking.family.test[0])
    short = Request(model=whole.model, system=whole.system, messages=whole.messages, config=Config(max_tokens=5))
    response = answer("embedded/small", short)
    assert response.finish_reason == "length"
    assert response.usage.output_tokens == 5
    assert (answer("embedded/small", whole).text or "").startswith(response.text or "-")


@pytest.mark.parametrize("model", MODELS)
def test_streamed_pieces_are_the_answer(model: str) -> None:
    asking = Asking(facts(35), model.split("/")[1])
    request = asking.request(asking.family.test[3])
    pieces = list(stream_text(model, request))
    assert len(pieces) > 1
    assert "".join(pieces) == answer(model, request).text
