"""Every provider over real HTTP: priced to the token, retried, refused, timed out; the key goes nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dspy
import pytest

from strop.errors import CallFailed, RunStopped
from strop.gateway import Account, Gateway, PriceTable, pico
from strop.programs import running_on
from strop.store import Store
from tests.support.faults import Fault, Faults
from tests.support.provider_server import ProviderServer
from tests.support.provider_wire import Answer
from tests.support.simulated import ask

KEY = "canary-key-7d1f20a4c9"
KEY_NAME = "STROP_TEST_PROVIDER"
FAMILIES = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "ollama": "ollama_chat/llama3.2",
}
PRICE = {"input": 3, "output": 15, "cached_input": 0.3, "cache_write": 3.75, "reasoning": 20}
each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "ANTHROPIC", "GEMINI", "OLLAMA", "OLLAMA_CHAT", "XAI", "MISTRAL"):
        for suffix in ("API_KEY", "API_BASE", "BASE_URL"):
            monkeypatch.delenv(f"{name}_{suffix}", raising=False)
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    monkeypatch.setenv(KEY_NAME, KEY)


@dataclass
class Line:
    """A gateway, and one account on it, in front of a provider server."""

    gateway: Gateway
    server: ProviderServer
    account: Account = field(default_factory=lambda: Account(scope="run:t", budget="run:t"))

    def lm(self, family: str = "openai", **settings: Any) -> Any:
        model = FAMILIES.get(family, family)
        given = {"model": model, "api_base": base_of(self.server, family), "api_key_env": KEY_NAME, "max_tokens": 50}
        return self.gateway.lm(given | settings, self.account, phase="search")

    def rows(self) -> list[dict[str, Any]]:
        return self.gateway.ledger.rows("run:t")

    def row(self) -> dict[str, Any]:
        (row,) = self.rows()
        return row

    def spent(self) -> int:
        self.gateway.ledger.writer.flush()
        node = self.gateway.budgets.read("run:t")
        assert node is not None
        assert node.held == 0
        return node.spent


def base_of(server: ProviderServer, family: str) -> str:
    """What a user would write: the address of the service, for OpenAI's dialect with its version."""
    bases = {"anthropic": server.root, "gemini": server.gemini_base, "ollama": server.root}
    return bases.get(family, server.openai_base)


@contextlib.contextmanager
def line_to(
    answer: Any = None, *, faults: Faults | None = None, path: Path | str = ":memory:", **server: Any
) -> Iterator[Line]:
    answering = answer or (lambda messages, model, params: "fine")
    prices = PriceTable({"*": PRICE})
    with ProviderServer(answering, faults=faults, **server) as made, Store.open(path) as store:
        gateway = Gateway(store, prices=prices)
        gateway.budgets.open("run:t", limit_pico=pico(1))
        try:
            yield Line(gateway, made)
        finally:
            gateway.close()


def always(kind: str, seconds: float | None = None) -> Faults:
    return Faults().when(lambda request: True, Fault(kind, seconds))  # type: ignore[arg-type]  # checked by Fault


COUNTED = Answer(text="fine", input_tokens=1000, output_tokens=60, cached_tokens=200, reasoning_tokens=25)


class TestAnswer:
    @pytest.mark.parametrize(
        ("family", "reasoning", "written"),
        [("openai", 25, 0), ("ollama", 25, 0), ("gemini", 25, 0), ("anthropic", 0, 100)],
    )
    def test_tokens_are_counted_as_the_provider_bills_them(self, family: str, reasoning: int, written: int) -> None:
        # Anthropic counts cached and written tokens beside the input, Gemini reasoning beside the output: the server
        # writes each dialect so, and one answer must come to the same figures whichever way it was told.
        answer = Answer(**{**COUNTED.__dict__, "cache_write_tokens": written})
        with line_to(lambda messages, model, params: answer) as line:
            assert line.lm(family)("hi") == ["fine"]
            row = line.row()
            assert (row["tokens_in"], row["tokens_out"]) == (1000, 60)
            assert (row["tokens_cached"], row["tokens_reasoning"]) == (200, reasoning)
            dollars_per_million = (
                3 * (1000 - 200 - written) + 0.3 * 200 + 3.75 * written + 15 * (60 - reasoning) + 20 * reasoning
            )
            assert row["cost_pico"] == round(dollars_per_million * 10**6)
            assert line.spent() == row["cost_pico"] == line.gateway.ledger.lines("run:t")[0].cost_pico
            assert (row["status"], row["source"]) == ("ok", "paid")

    def test_xai_counts_reasoning_beside_the_output(self) -> None:
        answer = Answer(text="fine", input_tokens=100, output_tokens=10, reasoning_tokens=25)
        with line_to(lambda messages, model, params: answer) as line:
            line.lm("xai/grok-4.3")("hi")
            assert (line.row()["tokens_out"], line.row()["tokens_reasoning"]) == (35, 25)
            assert line.spent() == (100 * 3 + 10 * 15 + 25 * 20) * 10**6

    @each_family
    def test_the_native_client_reaches_the_address_with_and_without_its_version(self, family: str) -> None:
        with line_to() as line:
            for base in (base_of(line.server, family), base_of(line.server, family) + "/"):
                line.lm(family, api_base=base)(f"ask {base}")
            if family in {"anthropic", "ollama"}:
                line.lm(family, api_base=line.server.root + "/v1")("with its version")
            assert line.server.strays == []
            assert {request.client for request in line.server.requests} == {"native"}

    def test_an_address_from_the_environment_is_used_and_is_part_of_the_identity(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with line_to() as line, line_to() as other:
            for number, server in enumerate((line.server, other.server)):
                monkeypatch.setenv("ANTHROPIC_BASE_URL", server.root)
                monkeypatch.setenv("OLLAMA_API_BASE", server.root)
                gateway = Gateway(line.gateway.ledger._store, prices=PriceTable({"*": PRICE}))
                for model in ("anthropic/claude-sonnet-4-5", "ollama/llama3.2"):
                    lm = gateway.lm({"model": model, "api_key_env": KEY_NAME}, line.account, phase="search")
                    assert lm("hi") == ["fine"], number
                gateway.close()
            assert (len(line.server.requests), len(other.server.requests)) == (2, 2)
            assert {request.client for request in line.server.requests} == {"native"}

    @each_family
    def test_the_key_is_sent_to_authenticate_and_is_nowhere_else(self, family: str, tmp_path: Path) -> None:
        answer = lambda messages, model, params: f"you sent {KEY}"  # noqa: E731
        with line_to(answer, path=tmp_path / "a.db", api_key=KEY) as line:
            line.lm(family)("hi")
            line.server.assert_only_in_auth_header(KEY)
            line.gateway.ledger.writer.flush()
            for file in tmp_path.iterdir():
                assert KEY.encode() not in file.read_bytes()


class TestSampling:
    def test_sync_and_async_calls_are_the_same_call(self) -> None:
        with line_to() as line:
            lm = line.lm()
            assert lm("hi") == asyncio.run(lm.acall("hi")) == ["fine"]
            assert len(line.server.requests) == 1
            assert [row["source"] for row in line.rows()] == ["paid", "replayed"]

    def test_n_and_rollouts_are_samples_of_their_own(self) -> None:
        with line_to() as line:
            lm = line.lm()
            assert lm("hi", n=3, temperature=1.0) == ["fine"] * 3
            lm("hi", rollout_id=1, temperature=1.0)
            lm("hi", rollout_id=2, temperature=1.0)
            lm("hi", n=2, temperature=1.0)
            assert len(line.server.requests) == 5
            bodies = [request.body for request in line.server.requests]
            assert all(body == bodies[0] for body in bodies)
            assert "rollout" not in str(bodies[0])

    def test_thirty_two_calls_are_in_flight_at_once(self) -> None:
        together = threading.Barrier(32)

        def answer(messages: Any, model: str, params: dict[str, Any]) -> str:
            together.wait(timeout=20)
            return messages[-1][1]

        with line_to(answer) as line, ThreadPoolExecutor(32) as pool:
            lm = line.lm(retries=0)
            assert list(pool.map(lambda i: lm(f"q{i}")[0], range(32))) == [f"q{i}" for i in range(32)]
            costs = [row["cost_pico"] for row in line.rows()]
            assert (len(costs), sum(costs)) == (32, line.spent())

    def test_an_answer_streams_through_the_recorded_call(self) -> None:
        text = "[[ ## answer ## ]]\nfour words, like this\n\n[[ ## completed ## ]]"
        listener = dspy.streaming.StreamListener(signature_field_name="answer", allow_reuse=True)
        program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])

        async def read(lm: Any) -> tuple[str, str]:
            pieces: list[str] = []
            last = None
            with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
                async for item in program(question="hi"):
                    if isinstance(item, dspy.streaming.StreamResponse):
                        pieces.append(item.chunk)
                    elif isinstance(item, dspy.Prediction):
                        last = item.answer
            return "".join(pieces), str(last)

        with line_to(lambda messages, model, params: text) as line:
            for source in ("paid", "replayed"):
                assert asyncio.run(read(line.lm())) == ("four words, like this", "four words, like this")
                assert line.rows()[-1]["source"] == source

    def test_a_stream_has_every_piece_once(self) -> None:
        text = "[[ ## answer ## ]]\nfour words, like this\n\n[[ ## completed ## ]]"
        program = dspy.streamify(dspy.Predict("question -> answer"))

        async def read(lm: Any) -> str:
            with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
                chunks = [item async for item in program(question="hi") if not isinstance(item, dspy.Prediction)]
            return "".join(chunk.choices[0]["delta"]["content"] or "" for chunk in chunks)

        with line_to(lambda messages, model, params: text) as line:
            assert asyncio.run(read(line.lm())) == text

    @pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
    @each_family
    def test_programs_run_with_both_adapters(self, family: str, adapter: Any) -> None:
        chat = "[[ ## label ## ]]\nspam\n\n[[ ## completed ## ]]"
        text = chat if not isinstance(adapter, dspy.JSONAdapter) else '{"label": "spam"}'
        with line_to(lambda messages, model, params: text) as line, running_on(line.lm(family), adapter=adapter):
            program = dspy.Predict("text -> label: Literal['ham', 'spam']")
            assert program(text="win").label == "spam"
            assert len(line.server.requests) == 1
            if isinstance(adapter, dspy.JSONAdapter) and family != "anthropic":
                # DSPy sends a schema where its tables say that the model takes one.
                asked = line.gateway.ledger.rows("run:t")[0]["request"]
                assert ("response_format" in asked) == line.lm(family).engine.supports_response_schema


class TestFailure:
    @each_family
    def test_a_rate_limit_is_waited_out_as_long_as_it_says(self, family: str) -> None:
        with line_to(faults=Faults({1: Fault("429", 0.4)})) as line:
            assert line.lm(family)("hi") == ["fine"]
            first, second = line.server.requests
            assert second.started - first.finished >= 0.39
            rows = line.rows()
            told = [(r["attempt"], r["status"], r["error_kind"], bool(r["final"]), r["cost_pico"]) for r in rows]
            assert told == [
                (0, "failed", "rate_limit", False, 0),
                (1, "ok", None, True, rows[1]["cost_pico"]),
            ]
            assert rows[1]["cost_pico"] == line.spent() > 0

    def test_a_rate_limit_pauses_every_call_to_the_model(self) -> None:
        with line_to(faults=Faults({1: Fault("429", 0.5)})) as line, ThreadPoolExecutor(4) as pool:
            lm = line.lm()
            first = pool.submit(lm, "q0")
            while not line.server.requests or line.server.requests[0].finished is None:
                time.sleep(0.005)
            time.sleep(0.05)
            list(pool.map(lm, ["q1", "q2", "q3"]))
            first.result()
            refused, *others = line.server.requests
            assert min(request.started for request in others) - refused.finished >= 0.4

    @pytest.mark.parametrize("kind", ["500", "503"])
    @each_family
    def test_a_server_error_is_tried_again(self, family: str, kind: str) -> None:
        with line_to(faults=Faults({1: Fault(kind)})) as line:  # type: ignore[arg-type]  # checked by Fault
            assert line.lm(family)("hi") == ["fine"]
            assert [(r["attempt"], r["status"], r["error_kind"]) for r in line.rows()] == [
                (0, "failed", "server"), (1, "ok", None),
            ]  # fmt: skip

    def test_retries_end(self) -> None:
        with line_to(faults=always("429", 0.01)) as line:
            with pytest.raises(dspy.LMError, match="Rate limit"):
                line.lm(retries=2)("hi")
            assert [bool(row["final"]) for row in line.rows()] == [False, False, True]
            assert line.spent() == 0

    @pytest.mark.parametrize(
        ("kind", "word", "hint"), [("401", "auth", "strop doctor"), ("404", "not_found", "api_base")]
    )
    @each_family
    def test_a_wrong_key_or_model_ends_the_run_at_once(self, family: str, kind: str, word: str, hint: str) -> None:
        with line_to(faults=always(kind)) as line:
            with pytest.raises(RunStopped) as stop:
                line.lm(family)("hi")
            assert stop.value.cause == "provider_down"
            down = line.account.switch.cause
            assert FAMILIES[family] in str(down)
            assert hint in down.hint  # type: ignore[union-attr]  # the error that tripped the switch
            with pytest.raises(RunStopped):
                line.lm(family)("another")
            assert len(line.server.requests) == 1
            assert (line.row()["error_kind"], line.spent()) == (word, 0)

    @each_family
    def test_a_missing_key_says_so_before_anything_is_sent(self, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(KEY_NAME)
        with line_to() as line:
            if family in {"openai", "ollama"}:
                # A server of one's own may want no key.
                assert line.lm(family)("hi") == ["fine"]
                return
            with pytest.raises(RunStopped):
                line.lm(family)("hi")
            assert (line.row()["error_kind"], line.spent(), line.server.requests) == ("auth", 0, [])

    @each_family
    def test_a_prompt_that_is_too_long_is_told_to_dspy_by_its_name(self, family: str) -> None:
        with line_to(faults=always("context")) as line:
            lm = line.lm(family)
            with pytest.raises(dspy.ContextWindowExceededError, match="ContextWindowExceededError"):
                lm("hi")
            with pytest.raises(CallFailed) as failure:
                line.gateway.complete(lm.channel, replace(ask("another"), model=lm.model), rollout=None, index=0)
            assert failure.value.kind == "context_window"
            assert [(r["error_kind"], bool(r["final"])) for r in line.rows()] == [("context_window", True)] * 2
            assert line.account.switch.stopped is None
            assert line.spent() == 0

    @each_family
    def test_a_hanging_provider_is_left_in_time_and_may_have_charged(self, family: str) -> None:
        with line_to(faults=always("hang")) as line:
            lm = line.lm(family, timeout_s=0.5, retries=0)
            before = time.monotonic()
            with pytest.raises(dspy.LMError):
                lm("hi")
            assert 0.4 < time.monotonic() - before < 15
            row = line.row()
            assert (row["error_kind"], row["cost_pico"]) == ("timeout", None)
            assert line.spent() == row["worst_pico"] > 0

    @pytest.mark.parametrize("kind", ["json", "html", "cut", "empty", "reset"])
    @each_family
    def test_a_broken_answer_is_a_failure_and_never_an_answer(self, family: str, kind: str) -> None:
        with line_to(faults=always(kind)) as line:
            lm = line.lm(family, retries=0)
            if kind == "empty":
                # Well formed and paid for: DSPy gets the empty text, and its adapters fail on it.
                assert lm("hi") in ([None], [""])
                assert line.row()["status"] == "ok"
                return
            with pytest.raises(dspy.LMError):
                lm("hi")
            row = line.row()
            expected = {"json": "garbage", "html": "server", "cut": "connection", "reset": "connection"}
            assert row["error_kind"] == expected[kind]
            assert line.spent() == (0 if kind == "html" else row["worst_pico"])

    @each_family
    def test_a_refused_connection_was_never_sent_and_costs_nothing(self, family: str) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            with line_to() as line:
                lm = line.lm(family, api_base=f"http://127.0.0.1:{port}/v1", retries=0)
                with pytest.raises(dspy.LMError):
                    lm("hi")
                row = line.row()
                assert (row["error_kind"], row["cost_pico"], line.spent()) == ("connection", 0, 0)

    def test_an_unknown_host_costs_nothing(self) -> None:
        with line_to() as line:
            with pytest.raises(dspy.LMError):
                line.lm(api_base="http://nowhere.invalid/v1", retries=0)("hi")
            assert (line.row()["error_kind"], line.row()["cost_pico"]) == ("connection", 0)

    def test_an_answer_without_a_count_of_tokens_is_not_an_answer(self) -> None:
        answer = Answer(text="fine", input_tokens=0, output_tokens=0)
        with line_to(lambda messages, model, params: answer) as line:
            with pytest.raises(dspy.LMError, match="how many tokens"):
                line.lm(retries=0)("hi")
            assert line.spent() == line.row()["worst_pico"]


class _Raw(BaseHTTPRequestHandler):
    """Answers bodies that no well-behaved server writes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, body, seconds_a_byte = self.server.script  # type: ignore[attr-defined]  # set by `raw`
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if not seconds_a_byte:
            self.wfile.write(body)
            return
        with contextlib.suppress(OSError):
            for byte in body[:40]:
                self.wfile.write(bytes([byte]))
                time.sleep(seconds_a_byte)


def chat(text: str, **usage: Any) -> bytes:
    """An answer of OpenAI's dialect, with what JSON can spell as escapes."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    counts = {"prompt_tokens": 10, "completion_tokens": 5} | usage
    return json.dumps(
        {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": counts}
    ).encode()


@contextlib.contextmanager
def raw(status: int, body: bytes, seconds_a_byte: float = 0) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Raw) as server:
        server.daemon_threads = True
        server.script = (status, body, seconds_a_byte)  # type: ignore[attr-defined]  # read by the handler
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


class TestOddAnswer:
    @pytest.mark.parametrize(("sent", "got"), [("half a pair \ud83d", "half a pair ?"), ("nul \x00", "nul \x00")])
    def test_text_that_no_database_takes_is_recorded_and_replayed_alike(self, sent: str, got: str) -> None:
        with line_to() as line, raw(200, chat(sent)) as base:
            lm = line.lm(api_base=base)
            assert lm("hi") == lm("hi") == [got]
            assert [(row["status"], row["source"]) for row in line.rows()] == [("ok", "paid"), ("ok", "replayed")]

    def test_an_error_text_that_no_database_takes_does_not_stop_the_ledger(self) -> None:
        body = json.dumps({"error": {"message": "bad \ud83d\x00 thing", "type": "invalid_request_error"}}).encode()
        with line_to() as line, raw(400, body) as base:
            with pytest.raises(dspy.LMError):
                line.lm(api_base=base)("hi")
            assert line.row()["error"].endswith("bad ? thing")
            assert line.lm()("hi") == ["fine"]
            assert line.spent() == line.rows()[1]["cost_pico"]

    @pytest.mark.parametrize(
        "usage",
        [{"prompt_tokens": 10**30}, {"completion_tokens": -5}, {"prompt_tokens": 1.5}, {"prompt_tokens": "many"}],
    )
    def test_counts_that_cannot_be_true_are_no_answer(self, usage: dict[str, Any]) -> None:
        with line_to() as line, raw(200, chat("fine", **usage)) as base:
            with pytest.raises(dspy.LMError):
                line.lm(api_base=base, retries=0)("hi")
            assert (line.row()["error_kind"], line.spent()) == ("garbage", line.row()["worst_pico"])

    def test_a_byte_now_and_then_does_not_keep_a_call_alive(self) -> None:
        with line_to() as line, raw(200, chat("fine"), seconds_a_byte=0.1) as base:
            before = time.monotonic()
            with pytest.raises(dspy.LMError, match=r"no answer within 0\.4 s"):
                line.lm(api_base=base, timeout_s=0.4, retries=0)("hi")
            assert time.monotonic() - before < 15
            assert (line.row()["error_kind"], line.spent()) == ("timeout", line.row()["worst_pico"])


@pytest.mark.slow
def test_a_provider_that_only_litellm_knows_works_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults({2: Fault("429", 0.2), 4: Fault("context")})
    answer = Answer(text="fine", input_tokens=1000, output_tokens=60, cached_tokens=200, reasoning_tokens=25)
    with line_to(lambda messages, model, params: answer, faults=faults) as line:
        lm = line.lm("mistral/mistral-small-latest", retries=1)
        assert lm("hi") == ["fine"]
        row = line.row()
        assert (row["tokens_in"], row["tokens_out"], row["tokens_cached"], row["tokens_reasoning"]) == (
            1000,
            60,
            200,
            25,
        )
        assert row["cost_pico"] == (800 * 3 + 35 * 15 + 25 * 20) * 10**6 + 200 * 300_000
        assert lm("again") == ["fine"]
        with pytest.raises(dspy.ContextWindowExceededError):
            lm("too long")
        kinds = [row["error_kind"] for row in line.rows()]
        assert kinds == [None, "rate_limit", None, "context_window"]
        assert len(line.server.requests) == len(kinds)
        assert {request.client for request in line.server.requests} == {"litellm"}
        line.server.assert_only_in_auth_header(KEY)
