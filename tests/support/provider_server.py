"""A model provider on a free loopback port: OpenAI, Anthropic, Gemini and Ollama over real HTTP, with scripted faults.

Tests put it where the real services would be, so that clients, retries, timeouts and broken connections are the real
ones. As a process, `python -m tests.support.provider_server --port 0` prints its port and serves until SIGTERM.
"""

import argparse
import asyncio
import dataclasses
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tests.support.faults import Fault, Faults
from tests.support.provider_answer import echo, embedded_answer
from tests.support.provider_log import ReceivedRequest, RequestLog
from tests.support.provider_responses import RESPONSES
from tests.support.provider_wire import DIALECTS, Answer, Dialect, Messages, Question, counted

Answering = Callable[[Messages, str, dict[str, Any]], str | Answer | Fault]
"""(role, text) messages, model, params -> the text (counted here), or an Answer with its own counts, or a Fault.

`params` has max_tokens, temperature, seed, stop, response_format and the names of the tools where they were sent, and
always `index`: which of the samples asked for in one request this is.
"""

_STATUS = {"429": 429, "500": 500, "503": 503, "529": 529, "401": 401, "404": 404, "context": 400}


class _PromptServer(uvicorn.Server):
    """uvicorn, without the tenths of a second it sleeps before it notices that it should stop, and again after."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def main_loop(self) -> None:
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await asyncio.sleep(0.01)  # connections just accepted become known only a few rounds of the loop later
        for connection in list(self.server_state.connections):
            connection.shutdown()
        patience = time.monotonic() + 2
        while (self.server_state.connections or self.server_state.tasks) and time.monotonic() < patience:
            await asyncio.sleep(0.002)


class Endpoints:
    """Base URLs of a server, as each client wants its `api_base`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.root = f"http://127.0.0.1:{port}"

    @property
    def openai_base(self) -> str:
        return f"{self.root}/v1"

    @property
    def gemini_base(self) -> str:
        return f"{self.root}/v1beta"

    def anthropic_base(self, *, native: bool = True) -> str:
        """DSPy's own client appends /messages, LiteLLM /v1/messages."""
        return f"{self.root}/v1" if native else self.root

    def ollama_base(self, *, native: bool = True) -> str:
        """DSPy's own client speaks Ollama's OpenAI dialect under /v1, LiteLLM its /api/chat."""
        return f"{self.root}/v1" if native else self.root


class ProviderServer(Endpoints):
    """Serves while its `with` block lasts. An exception of the answering function is a 500 there and raised at the end.

    `faults` may be replaced while it runs (a provider that dies, and comes back). With `api_key`, calls without
    that key get 401. `latency_s` is waited before every answer.
    """

    def __init__(
        self,
        answer: Answering = embedded_answer,
        *,
        latency_s: float = 0.0,
        faults: Faults | None = None,
        api_key: str | None = None,
        port: int = 0,
        log_to: TextIO | None = None,
    ) -> None:
        # asyncio turns Nagle off only on sockets that say IPPROTO_TCP; with it on, a call takes 44 ms instead of 1.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        super().__init__(self._socket.getsockname()[1])
        self.answer = answer
        self.latency_s = latency_s
        self.faults = faults or Faults()
        self.api_key = api_key
        self.log = RequestLog()
        self._log_to = log_to
        self._crash: Exception | None = None
        # Answering functions may block on purpose, so they get threads of their own, more than any test has callers.
        self._threads = ThreadPoolExecutor(max_workers=256, thread_name_prefix="provider-answer")
        self._server = _PromptServer(
            uvicorn.Config(
                self._app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
                log_config=None,
                access_log=False,
            )
        )
        self._thread = threading.Thread(target=self._run, name="provider-server", daemon=True)

    # --- what tests read

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The model calls in order of arrival."""
        return self.log.calls

    @property
    def strays(self) -> list[ReceivedRequest]:
        """Requests to any other path; they got 404, as from the real service."""
        return self.log.strays

    @property
    def in_flight(self) -> int:
        return self.log.in_flight

    @property
    def peak_in_flight(self) -> int:
        return self.log.peak_in_flight

    def assert_only_in_auth_header(self, secret: str) -> None:
        """The secret was sent to authenticate, and nowhere else: no other header, path, query or body."""
        sent = [r for r in [*self.requests, *self.strays] if any(secret in value for value in r.headers.values())]
        assert sent, "no request carried the secret at all, so nothing was shown"
        places = self.log.places_of(secret)
        assert not places, f"the secret was sent in {', '.join(places)}"

    # --- life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._crash is not None and error is None:
            raise self._crash

    def start(self) -> None:
        self._thread.start()
        if not self._server.ready.wait(timeout=10):
            raise RuntimeError("the provider server did not start")

    def stop(self) -> None:
        """Break off whatever hangs or waits, answer what is being answered, close every connection."""
        self._server.loop.call_soon_threadsafe(self._server.stopping.set)
        self._thread.join(timeout=10)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    # --- one request

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            raw = await request.body()
        except ClientDisconnect:
            return
        dialect, groups = (_dialect_of(request.url.path) if request.method == "POST" else None) or (None, {})
        entry = _entry(request, raw, dialect)
        self.log.arrived(entry)
        try:
            if dialect is None:
                entry.status = 404
                await JSONResponse({"error": f"no such path: {entry.path}"}, 404)(scope, receive, send)
            else:
                await self._call(dialect, groups, entry, scope, receive, send)
        except (KeyError, TypeError, AttributeError) as crash:
            # A body that the dialect cannot read is the client's fault, and the test must hear of it.
            self._crash = self._crash or crash
            raise
        finally:
            self.log.left(entry)
            self._write_log(entry)

    async def _call(
        self,
        dialect: Dialect,
        groups: dict[str, str],
        entry: ReceivedRequest,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        question = dialect.read(entry.body, groups)
        entry.model, entry.messages, entry.stream = question.model, question.messages, question.stream
        fault = self.faults.choose(entry)
        if fault is None and self.api_key is not None and not _carries(entry, self.api_key):
            fault = Fault("401")
        entry.fault = fault and fault.kind
        delay = self.latency_s + ((fault.seconds or 0.0) if fault and fault.kind == "slow" else 0.0)
        if (delay and await self._wait(delay)) or (fault and fault.kind in {"hang", "reset"}):
            if fault and fault.kind == "hang":
                await self._until_gone(receive)
            self._reset(scope)
            await self._until_gone(receive)
            return
        response = await self._respond(dialect, question, fault, entry)
        entry.status = response.status_code
        await response(scope, receive, send)
        if entry.fault == "cut":
            self._close(scope)
            await self._until_gone(receive)

    async def _respond(
        self, dialect: Dialect, question: Question, fault: Fault | None, entry: ReceivedRequest
    ) -> Response:
        if fault and fault.kind == "html":
            return HTMLResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", 502)
        if fault and fault.kind == "json":
            return Response('{"id": "half an ans', 200, media_type="application/json")
        if fault and fault.kind in _STATUS:
            return _refusal(dialect, question, fault)
        answers: list[Answer] = []
        for index in range(question.count):
            given = "" if fault and fault.kind == "empty" else await self._ask(question, index)
            if isinstance(given, Fault):
                entry.fault = given.kind
                return _refusal(dialect, question, given)
            answers.append(counted(given, question) if isinstance(given, str) else given)
        cut = fault is not None and fault.kind == "cut"
        if question.stream:
            events = dialect.stream(question, answers[0])
            return StreamingResponse(iter(events[: len(events) // 2] if cut else events), media_type=dialect.media_type)
        return (_HalfResponse if cut else JSONResponse)(dialect.write(question, answers))

    async def _ask(self, question: Question, index: int) -> str | Answer | Fault:
        params = question.params | {"index": index}
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self.answer, question.messages, question.model, params
            )
        except Exception as crash:
            self._crash = self._crash or crash
            return Fault("500")

    async def _wait(self, seconds: float) -> bool:
        """Whether the server was stopped before the time was over."""
        try:
            await asyncio.wait_for(self._server.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _until_gone(self, receive: Receive) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        stopped = asyncio.ensure_future(self._server.stopping.wait())
        await asyncio.wait({gone, stopped}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        stopped.cancel()

    def _reset(self, scope: Scope) -> None:
        transport = self._transport(scope)
        if transport is not None:
            sock = transport.get_extra_info("socket")
            # Lingering for zero seconds makes the kernel send RST instead of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    def _close(self, scope: Scope) -> None:
        transport = self._transport(scope)
        if transport is not None:
            transport.close()

    def _transport(self, scope: Scope) -> asyncio.Transport | None:
        connections: set[Any] = self._server.server_state.connections  # type: ignore[assignment]  # h11 has no public type
        return next((c.transport for c in connections if c.client == tuple(scope["client"])), None)

    def _write_log(self, entry: ReceivedRequest) -> None:
        if self._log_to is not None:
            fields = {k: v for k, v in dataclasses.asdict(entry).items() if k not in {"raw", "headers"}}
            self._log_to.write(json.dumps(fields) + "\n")
            self._log_to.flush()


class _HalfResponse(JSONResponse):
    """Its Content-Length names the whole body, of which it sends half; the connection must be closed after it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})


def _dialect_of(path: str) -> tuple[Dialect, dict[str, str]] | None:
    for dialect in (*DIALECTS, RESPONSES):
        if match := dialect.path.fullmatch(path):
            return dialect, match.groupdict()
    return None


def _entry(request: Request, raw: bytes, dialect: Dialect | None) -> ReceivedRequest:
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = None
    return ReceivedRequest(
        number=0,
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        headers=dict(request.headers),
        raw=raw,
        body=body,
        dialect=dialect.name if dialect else None,
    )


def _carries(entry: ReceivedRequest, key: str) -> bool:
    sent = (entry.headers.get(name, "") for name in ("x-api-key", "x-goog-api-key", "authorization"))
    return key in {value.removeprefix("Bearer ") for value in sent}


def _refusal(dialect: Dialect, question: Question, fault: Fault) -> Response:
    status = _STATUS[fault.kind]
    headers = {"retry-after": f"{fault.seconds:g}"} if fault.seconds is not None else None
    return JSONResponse(dialect.refuse(status, fault.kind, question.model), status, headers)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.provider_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--faults", default="", help="WHICH:KIND[=SECONDS],... for example 1:429=0.2,%%10:reset")
    parser.add_argument("--answer", choices=["embedded", "echo"], default="embedded")
    parser.add_argument("--api-key")
    parser.add_argument("--log", type=Path, help="append one JSON line for every finished request")
    options = parser.parse_args(argv)
    over = threading.Event()
    for word in (signal.SIGTERM, signal.SIGINT):
        signal.signal(word, lambda *_: over.set())
    log_to = options.log.open("a") if options.log else None
    with ProviderServer(
        {"embedded": embedded_answer, "echo": echo}[options.answer],
        latency_s=options.latency,
        faults=Faults.parse(options.faults),
        api_key=options.api_key,
        port=options.port,
        log_to=log_to,
    ) as server:
        print(server.port, flush=True)
        over.wait()
    if log_to is not None:
        log_to.close()


if __name__ == "__main__":
    main(sys.argv[1:])
