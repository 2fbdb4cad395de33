import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import httpx
import pytest
from dspy.utils import exceptions as failures

from tests.support.faults import KINDS, Fault, Faults
from tests.support.provider_server import Answering, Endpoints, ProviderServer
from tests.support.provider_wire import Answer, count_tokens

# Both clients read it when they first look up a model, and would otherwise ask the network for prices.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")

KEY = "sk-test-4f9c1e"
FAMILIES = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "ollama": "ollama_chat/llama3.2",
}
each_family = pytest.mark.parametrize("family", FAMILIES)


def base_of(server: Endpoints, family: str, *, native: bool) -> str:
    return {
        "openai": server.openai_base,
        "anthropic": server.anthropic_base(native=native),
        "gemini": server.gemini_base,
        "ollama": server.ollama_base(native=native),
    }[family]


def client(server: Endpoints, family: str, *, native: bool = True, **settings: Any) -> dspy.LM:
    settings = {"cache": False, "num_retries": 0, "max_tokens": 50, "api_key": KEY} | settings
    if not native:
        settings["engine"] = "litellm"
    return dspy.LM(FAMILIES[family], api_base=base_of(server, family, native=native), **settings)


def telling(messages: Any, model: str, params: dict[str, Any]) -> str:
    return " | ".join(f"{role}: {text}" for role, text in messages)


def saying(text: str) -> Answering:
    return lambda messages, model, params: text


CONVERSATION = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Which colour?"},
    {"role": "assistant", "content": "Blue."},
    {"role": "user", "content": "Why, exactly?"},
]
TOLD = "system: Be short. | user: Which colour? | assistant: Blue. | user: Why, exactly?"


def conversation() -> dspy.lm15.Request:
    from dspy.lm15 import Message, Request

    made = {"user": Message.user, "assistant": Message.assistant}
    return Request(
        model="ignored",
        system=CONVERSATION[0]["content"],
        messages=tuple(made[m["role"]](m["content"]) for m in CONVERSATION[1:]),
    )


def check_conversation(server: ProviderServer, family: str, *, native: bool) -> None:
    lm = client(server, family, native=native)
    asked = conversation()
    answer = lm(dspy.lm15.Request(model=FAMILIES[family], system=asked.system, messages=asked.messages))
    assert (answer[0] if isinstance(answer, list) else answer.text) == TOLD
    usage = lm.history[-1]["usage"]
    # Be shor t . | Whic h colo ur ? | Blue . | Why , exac tly ?
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (4 + 5 + 2 + 5, count_tokens(TOLD))
    (request,) = server.requests
    assert request.client == ("native" if native else "litellm")
    assert request.status == 200
    assert server.strays == []
    server.assert_only_in_auth_header(KEY)


class TestNativeClient:
    @each_family
    def test_text_roles_and_usage_arrive(self, family: str) -> None:
        with ProviderServer(telling) as server:
            check_conversation(server, family, native=True)

    @each_family
    def test_streams_the_same_text_and_usage(self, family: str) -> None:
        with ProviderServer(saying("[[ ## answer ## ]]\nfour words, like this\n\n[[ ## completed ## ]]")) as server:
            pieces, answer, usage = streamed(client(server, family))
        assert answer == "four words, like this"
        assert "".join(pieces) == answer
        assert len(pieces) > 1
        assert server.requests[0].stream
        assert usage["completion_tokens"] == count_tokens(
            "[[ ## answer ## ]]\nfour words, like this\n\n[[ ## completed ## ]]"
        )

    @each_family
    def test_stops_at_max_tokens(self, family: str) -> None:
        with ProviderServer(saying("one two many more words than asked for")) as server:
            lm = client(server, family, max_tokens=3)
            assert lm("count")[0].split() == ["one", "two", "many"]
        assert lm.history[-1]["usage"]["completion_tokens"] == 3

    def test_counts_of_an_answer_reach_every_client_in_its_own_dialect(self) -> None:
        def answer(messages: Any, model: str, params: dict[str, Any]) -> Answer:
            return Answer(text="x", input_tokens=100, output_tokens=30, cached_tokens=40, reasoning_tokens=10)

        seen = {}
        with ProviderServer(answer) as server:
            for family in FAMILIES:
                lm = client(server, family)
                lm("count")
                usage = lm.history[-1]["response"].usage
                seen[family] = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)
        # Anthropic's input_tokens leave cached ones out, Gemini's candidates leave thoughts out.
        assert seen["openai"] == seen["ollama"] == (100, 30, 40)
        assert seen["anthropic"] == (60, 30, 40)
        assert seen["gemini"][0::2] == (100, 40)

    def test_calls_are_fast_enough_to_show_that_nagle_is_off(self) -> None:
        with ProviderServer(saying("x")) as server:
            lm = client(server, "openai")
            lm("warm")
            took: list[float] = []
            for _ in range(20):
                started = time.monotonic()
                lm("again")
                took.append(time.monotonic() - started)
        # Forty milliseconds each with Nagle on, two or three without.
        assert min(took) < 0.03


def streamed(lm: dspy.LM) -> tuple[list[str], str, dict[str, Any]]:
    """Pieces of the field `answer` as they came, the final answer, and the usage in the LM's history."""
    program = dspy.streamify(
        dspy.Predict("question -> answer"),
        stream_listeners=[dspy.streaming.StreamListener(signature_field_name="answer")],
        async_streaming=False,
    )
    pieces: list[str] = []
    answer = ""
    with dspy.context(lm=lm):
        for item in program(question="four words?"):
            if isinstance(item, dspy.streaming.StreamResponse):
                pieces.append(item.chunk)
            elif isinstance(item, dspy.Prediction):
                answer = item.answer
    return pieces, answer, lm.history[-1]["usage"]


@pytest.fixture(scope="module")
def fine() -> Iterator[ProviderServer]:
    with ProviderServer(saying("fine")) as server:
        yield server


ERRORS: list[tuple[Any, type[Exception]]] = [
    ("401", failures.LMAuthError),
    ("404", failures.LMUnsupportedModelError),
    ("429", failures.LMRateLimitError),
    ("500", failures.LMServerError),
    ("503", failures.LMServerError),
    ("529", failures.LMServerError),
    ("context", failures.ContextWindowExceededError),
    ("html", failures.LMServerError),
    ("json", failures.LMProviderError),
    ("reset", failures.LMTransportError),
    ("cut", failures.LMTransportError),
    ("hang", failures.LMTransportError),  # lm15's read timeout is a transport error, not LMTimeoutError
]


class TestFaults:
    @each_family
    @pytest.mark.parametrize(("kind", "error"), ERRORS)
    def test_is_what_the_client_takes_it_for(
        self, fine: ProviderServer, family: str, kind: Any, error: type[Exception]
    ) -> None:
        fine.faults = Faults().when(lambda r: True, Fault(kind), times=1)
        lm = client(fine, family, timeout=0.3 if kind == "hang" else 5)
        with pytest.raises(error):
            lm("go")
        assert lm("again") == ["fine"]
        assert [r.fault for r in fine.requests[-2:]] == [kind, None]

    def test_every_kind_is_covered_here(self) -> None:
        assert {kind for kind, _ in ERRORS} | {"slow", "empty"} == set(KINDS)

    @each_family
    def test_retry_after_is_waited_for(self, family: str) -> None:
        with ProviderServer(saying("fine"), faults=Faults.parse("1:429=0.2")) as server:
            assert client(server, family, num_retries=1)("go") == ["fine"]
        first, second = server.requests
        assert first.finished is not None
        assert 0.15 < second.started - first.finished < 0.9
        assert (first.status, second.status) == (429, 200)

    @each_family
    def test_a_cut_stream_is_an_error(self, family: str) -> None:
        text = "[[ ## answer ## ]]\n" + "so many words that half of them are not all " * 4
        with ProviderServer(saying(text), faults=Faults.parse("*:cut")) as server, pytest.raises(failures.LMError):
            streamed(client(server, family))
        assert server.requests[0].stream

    def test_empty_is_an_answer_without_text(self) -> None:
        with ProviderServer(saying("fine"), faults=Faults.parse("1:empty")) as server:
            assert client(server, "openai")("go") == [""]

    def test_slow_is_late_and_latency_is_for_all(self) -> None:
        with ProviderServer(saying("fine"), latency_s=0.05, faults=Faults.parse("2:slow=0.2")) as server:
            lm = client(server, "openai")
            assert [lm("go"), lm("go")] == [["fine"], ["fine"]]
        times = [r.finished - r.started for r in server.requests if r.finished]
        assert times[0] >= 0.05
        assert times[1] >= 0.25

    def test_rules_by_predicate_strike_as_often_as_told(self) -> None:
        faults = Faults().when(lambda r: "two" in r.messages[-1][1], Fault("500"), times=1)
        with ProviderServer(telling, faults=faults) as server:
            lm = client(server, "openai")
            assert lm("one") == ["user: one"]
            with pytest.raises(failures.LMServerError):
                lm("two")
            assert lm("two") == ["user: two"]

    @pytest.mark.parametrize(
        ("text", "struck"),
        [
            ("3:500", [3]),
            ("2-4:500", [2, 3, 4]),
            ("9-:500", [9, 10]),
            ("%4:500", [4, 8]),
            ("*:500", list(range(1, 11))),
            ("1:429=0.5, 2-3:hang", [1, 2, 3]),
        ],
    )
    def test_rules_as_text(self, text: str, struck: list[int]) -> None:
        faults = Faults.parse(text)
        requests = [numbered(n) for n in range(1, 11)]
        assert [r.number for r in requests if faults.choose(r)] == struck

    @pytest.mark.parametrize("text", ["1", "x:500", "1:nonsense", "1:slow", "1:429=soon"])
    def test_a_rule_that_cannot_be_read_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"fault|seconds"):
            Faults.parse(text)


def numbered(number: int) -> Any:
    from tests.support.provider_log import ReceivedRequest

    return ReceivedRequest(
        number=number, method="POST", path="", query="", headers={}, raw=b"", body=None, dialect="openai"
    )


class TestServer:
    def test_counts_calls_in_flight(self) -> None:
        together = threading.Barrier(12, timeout=10)

        def answer(messages: Any, model: str, params: dict[str, Any]) -> str:
            together.wait()
            return "all here"

        with ProviderServer(answer) as server, ThreadPoolExecutor(12) as pool:
            lm = client(server, "openai")
            assert list(pool.map(lambda n: lm(f"call {n}"), range(12))) == [["all here"]] * 12
            assert server.peak_in_flight == 12
            until(lambda: server.in_flight == 0)
        assert sorted(r.in_flight for r in server.requests) == list(range(1, 13))
        assert sorted(r.number for r in server.requests) == list(range(1, 13))

    def test_stops_at_once_though_a_call_hangs(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            with ProviderServer(saying("x"), faults=Faults.parse("*:hang")) as server:
                hung = pool.submit(httpx.post, f"{server.openai_base}/chat/completions", json=OPENAI_BODY, timeout=60)
                until(lambda: server.in_flight == 1)
                started = time.monotonic()
            assert time.monotonic() - started < 10
            with pytest.raises(httpx.TransportError):
                hung.result(timeout=5)

    def test_an_exception_of_the_answering_function_reaches_the_test(self) -> None:
        def answer(messages: Any, model: str, params: dict[str, Any]) -> str:
            raise LookupError("no such answer")

        with pytest.raises(LookupError, match="no such answer"), ProviderServer(answer) as server:
            assert httpx.post(f"{server.openai_base}/chat/completions", json=OPENAI_BODY).status_code == 500

    def test_a_wrong_key_is_refused_and_a_right_one_not(self) -> None:
        with ProviderServer(saying("in"), api_key=KEY) as server:
            for family in FAMILIES:
                assert client(server, family)("go") == ["in"]
                with pytest.raises(failures.LMAuthError):
                    client(server, family, api_key=KEY[:-1])("go")

    def test_a_leaked_key_is_found_wherever_it_is(self) -> None:
        with ProviderServer(saying("x")) as server:
            url, good = f"{server.openai_base}/chat/completions", {"authorization": f"Bearer {KEY}"}
            httpx.post(url, json=OPENAI_BODY, headers=good)
            server.assert_only_in_auth_header(KEY)
            httpx.post(url, json=OPENAI_BODY | {"user": f"key {KEY}"}, headers=good)
            httpx.post(f"{url}?key={KEY}", json=OPENAI_BODY, headers={"x-note": KEY})
            httpx.get(f"{server.root}/elsewhere/{KEY}")
            with pytest.raises(AssertionError, match="#2 body, #3 query, #3 header x-note, #0 path"):
                server.assert_only_in_auth_header(KEY)
            with pytest.raises(AssertionError, match="no request carried"):
                server.assert_only_in_auth_header("sk-another")

    def test_paths_of_no_provider_are_strays(self) -> None:
        with ProviderServer(saying("x")) as server:
            assert httpx.post(f"{server.root}/chat/completions", json=OPENAI_BODY).status_code == 404
        assert server.requests == []
        assert [r.path for r in server.strays] == ["/chat/completions"]

    def test_gives_as_many_samples_as_asked(self) -> None:
        with ProviderServer(lambda messages, model, params: f"sample {params['index']}") as server:
            got = httpx.post(f"{server.openai_base}/chat/completions", json=OPENAI_BODY | {"n": 3}).json()
        assert [c["message"]["content"] for c in got["choices"]] == ["sample 0", "sample 1", "sample 2"]
        assert got["usage"]["completion_tokens"] == 3 * count_tokens("sample 0")


OPENAI_BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestProcess:
    def test_prints_its_port_serves_logs_and_ends_cleanly(self, tmp_path: Path) -> None:
        log = tmp_path / "requests.jsonl"
        command = [sys.executable, "-m", "tests.support.provider_server", "--answer", "echo", "--faults", "2:500"]
        with subprocess.Popen([*command, "--log", str(log)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            bases = Endpoints(int(process.stdout.readline()))
            assert client(bases, "anthropic")("said") == ["said"]
            with pytest.raises(failures.LMServerError):
                client(bases, "gemini")("said")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        assert log.read_text().count('"status": 200') == 1
        assert log.read_text().count('"fault": "500"') == 1


ROOT = Path(__file__).parents[2]


# LiteLLM's own types warn when pydantic first reads them; as an error that would be taken for a broken connection.
@pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning")
# Its asynchronous client leaves the connection open when the event loop ends, for the collector to find.
@pytest.mark.filterwarnings("ignore:unclosed (transport|<socket):ResourceWarning")
@pytest.mark.slow
class TestLiteLLM:
    @pytest.fixture(autouse=True)
    def _collected_here(self) -> Iterator[None]:
        yield
        gc.collect()

    @each_family
    def test_text_roles_and_usage_arrive(self, family: str) -> None:
        with ProviderServer(telling) as server:
            check_conversation(server, family, native=False)

    @each_family
    def test_streams_the_same_text(self, family: str) -> None:
        with ProviderServer(saying("[[ ## answer ## ]]\nfour words, like this\n\n[[ ## completed ## ]]")) as server:
            pieces, answer, _ = streamed(client(server, family, native=False))
        assert answer == "".join(pieces) == "four words, like this"

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("401", failures.LMAuthError),
            ("429", failures.LMRateLimitError),
            ("500", failures.LMServerError),
            ("context", failures.ContextWindowExceededError),
        ],
    )
    def test_faults_are_what_the_client_takes_them_for(self, kind: Any, error: type[Exception]) -> None:
        with ProviderServer(saying("fine"), faults=Faults({1: Fault(kind)})) as server:
            lm = client(server, "openai", native=False)
            with pytest.raises(error):
                lm("go")
            assert lm("again") == ["fine"]


def test_answers_from_the_embedded_models_when_not_told_otherwise() -> None:
    from strop import embedded

    if not hasattr(embedded, "answer"):
        pytest.skip("the embedded models are not there yet")
    from tests.support.provider_answer import request_of

    messages = (("system", "Say positive or negative."), ("user", "A wonderful, delightful film."))
    expected = embedded.answer("embedded/small", request_of(messages, "m", {"max_tokens": 50}), index=0)
    with ProviderServer() as server:
        lm = client(server, "openai")
        asked = dspy.lm15.Request(
            model=FAMILIES["openai"], system=messages[0][1], messages=(dspy.lm15.Message.user(messages[1][1]),)
        )
        answer = lm(asked)
    assert (answer[0] if isinstance(answer, list) else answer.text) == expected.text
    assert lm.history[-1]["usage"]["prompt_tokens"] == expected.usage.input_tokens
