"""Runs one of DSPy's blocking algorithms behind an iterator: candidates come at once, and it can be left at once."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from strop.errors import CallFailed, ProviderDown, RunStopped, SearchFailed, StropError
from strop.gateway import Lanes, lanes
from strop.optimizers.ahead import Allowance
from strop.optimizers.bridge import FeedbackMetric, ScoreMetric, dspy_examples
from strop.optimizers.copies import rebuilt
from strop.optimizers.crew import POLL_S, Crew, Task
from strop.optimizers.optimizer import Brief, Candidate, Note
from strop.programs import running_on

if TYPE_CHECKING:
    import dspy

GRACE_S = 0.5
SHOWN = 300
"""Characters of a stranger's error that are shown: it may hold a whole prompt."""
MAX_ERRORS = 1_000_000

# DSPy reports progress through `print`, `tqdm` and its logger; a search reports through notes.
_log = logging.getLogger("strop.optimizers.dspy")
_log.addHandler(logging.NullHandler())
_log.propagate = False


def _mute(*_args: object, **_kwargs: object) -> None:
    """Say nothing."""


def _bare(items: Any, **_kwargs: object) -> Any:
    return items


_abandoned: ContextVar[threading.Event | None] = ContextVar("strop_abandoned", default=None)


@contextmanager
def abandoned_when(over: threading.Event) -> Generator[None]:
    """Inside the block no call is begun once `over` is set."""
    token = _abandoned.set(over)
    try:
        yield
    finally:
        _abandoned.reset(token)


_searching: ContextVar[bool] = ContextVar("strop_searching", default=False)


class _NotWhileSearching(logging.Filter):
    """Keeps DSPy's log lines of a search off the terminal, and only those."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - logging's signature
        return not _searching.get()


_quiet_filter = _NotWhileSearching()
QUIET: dict[str, Any] = {"print": _mute, "tqdm": SimpleNamespace(tqdm=_bare), "logger": _log}


class Left(BaseException):
    """Unwinds the algorithm's thread after nobody wants its results any more, or its metric cannot be applied.

    A BaseException, because DSPy's algorithms turn ordinary exceptions into scores.
    """

    def __init__(self, error: StropError | None = None) -> None:
        super().__init__(str(error or "the search was left"))
        self.error = error


class Reins:
    """An engine that asks before each call whether the search still goes on."""

    def __init__(self, engine: Any, check: Callable[[], None]) -> None:
        self._engine = engine
        self._check = check

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def complete(self, request: Any) -> Any:
        self._ask()
        return self._engine.complete(request)

    def answer(self, question: Any) -> Any:
        """The gateway's short way for plain text."""
        self._ask()
        return self._engine.answer(question)

    def _ask(self) -> None:
        self._check()
        over = _abandoned.get()
        if over is not None and over.is_set():
            raise Left


class Stage:
    """What an algorithm works with: data, models and metric as DSPy's, a crew, and where it tells what it found."""

    def __init__(self, brief: Brief, *, threshold: float | None = None) -> None:
        self.brief = brief
        self._queue: SimpleQueue[Candidate | _End] = SimpleQueue()
        self._left = threading.Event()
        self._lanes = Lanes(brief.concurrency)
        self.crew = Crew(self._lanes.workers, self.check)
        self.looks_ahead = brief.warm_ahead and self.crew.can_look_ahead
        self.allowance = Allowance(brief.concurrency)
        self.train = dspy_examples(brief.train)
        self.dev = dspy_examples(brief.dev)
        bar = 1.0 if threshold is None else threshold
        self.metric = ScoreMetric(brief.metric, threshold=bar, broken=Left)
        self.feedback = FeedbackMetric(brief.metric, threshold=bar, broken=Left)
        self.task = self.reined(brief.models.task)
        self.prompt = self.reined(brief.models.prompt)
        self.teacher = self.reined(brief.models.teacher)
        self.program = rebuilt(brief.spec, brief.program)
        self.prepared: dict[Any, Any] = {}

    def reined(self, lm: dspy.LM) -> dspy.LM:
        """The same model, which stops answering when the search is over."""
        return lm.copy(engine=Reins(lm.engine, self.check), async_engine=getattr(lm, "_async_engine_spec", None))

    @property
    def teacher_settings(self) -> dict[str, Any]:
        return {"lm": self.teacher}

    def check(self) -> None:
        """Raise when the run was stopped or the search was left."""
        self.brief.switch.check()
        if self._left.is_set():
            raise Left

    def note(self, kind: str, **data: Any) -> None:
        """Tell the observer."""
        self.brief.report(Note(kind=kind, data=data))

    def found(self, program: dspy.Module, score: float | None, n: int, origin: str, **details: Any) -> None:
        """Hand a candidate to whoever reads the search; the copy is safe from what the algorithm does next."""
        copy = rebuilt(self.brief.spec, program)
        self._queue.put(Candidate(program=copy, score=score, n=n, origin=origin, details=details))

    def ahead(self, job: Callable[[], Any], *, rank: int = 0, then: Callable[[Task], None] | None = None) -> Task:
        """Do work before the algorithm asks for it."""
        return self.crew.submit(job, ahead=True, rank=rank, then=then)

    def shadow(self, name: str, job: Callable[[], Any]) -> Task:
        """Run `job` beside the algorithm in a thread of its own. It may wait for the crew; it is not part of it."""
        task = Task(job, None)
        threading.Thread(target=task.perform, daemon=True, name=f"strop-shadow-{name}").start()
        return task

    def results(self, algorithm: Callable[[Stage], None]) -> Iterator[Candidate]:
        """Run `algorithm` and yield what it finds."""

        def work() -> None:
            import dspy

            error: BaseException | None = None
            _searching.set(True)
            for handler in logging.getLogger(dspy.__name__).handlers:
                handler.addFilter(_quiet_filter)
            try:
                with running_on(self.task), lanes(self._lanes):
                    algorithm(self)
            except BaseException as problem:  # noqa: BLE001 - told to the reader, who raises it
                error = problem
            self._queue.put(_End(error))

        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True, name="strop-search")
        thread.start()
        try:
            error = yield from self._read()
        finally:
            self._left.set()
            self.crew.close()
            thread.join(GRACE_S)
        self.brief.switch.check()
        if isinstance(error, Left) and error.error is not None:
            raise error.error
        if isinstance(error, RunStopped | StropError | KeyboardInterrupt):
            raise error
        if error is not None:
            raise _ended_by(error) from error

    def _read(self) -> Iterator[Any]:
        deadline: float | None = None
        while True:
            try:
                item = self._queue.get(timeout=POLL_S)
            except Empty:
                if self.brief.switch.stopped is None:
                    continue
                deadline = deadline or time.monotonic() + GRACE_S
                if time.monotonic() > deadline:
                    return None
                continue
            if isinstance(item, _End):
                return item.error
            yield item


def _ended_by(error: BaseException) -> StropError:
    """What broke the algorithm, in words: an outage, a prompt that is too long, or its own fault."""
    cause: BaseException | None = error
    too_long: CallFailed | None = None
    while cause is not None:
        if isinstance(cause, CallFailed):
            if cause.outage:
                return ProviderDown(cause.model, f"{cause.kind}: {cause.detail}")
            too_long = too_long or (cause if cause.kind == "context_window" else None)
        cause = cause.__cause__ or cause.__context__
    if too_long is not None:
        return SearchFailed(
            f"a prompt of the search does not fit the context window of {too_long.model} ({too_long.detail[:SHOWN]}): "
            "give fewer or shorter examples, or take a model with a larger window"
        )
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return SearchFailed(f"the algorithm broke: {told if len(told) <= SHOWN else told[:SHOWN] + '…'}")


class _End:
    """The algorithm's thread is through."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
