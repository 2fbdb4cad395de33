"""Answers inputs with a version of a program: through the gateway, in parallel, in order, nothing paid for twice."""

from __future__ import annotations

import contextvars
import json
import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.errors import BadInput, BudgetExceeded, NotFound, RunFailed, RunStopped, StropError

if TYPE_CHECKING:
    from strop.app import House
    from strop.gateway import ModelSettings
    from strop.registry import Version

AHEAD = 4


@dataclass(frozen=True, kw_only=True)
class Line:
    """One input and what came of it: `output`, or `error`. `number` is its 1-based line."""

    number: int
    input: Mapping[str, Any]
    output: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in the output file."""
        told = {"output": dict(self.output)} if self.error is None else {"error": self.error}
        return {"line": self.number, "input": dict(self.input), **told}


class Predictor:
    """A version of a program on a model; made by `predictor`."""

    def __init__(self, house: House, version: Version, settings: ModelSettings, budget_usd: float | None) -> None:
        from strop.gateway import Account, pico
        from strop.programs import fields

        self.version = version
        self.model = settings.model
        self.inputs, self.outputs = fields(version.spec)
        self._program = house.registry.program(version)
        scope = f"predict:{version.name}"[:120]
        budget = None
        if budget_usd is not None:
            # A node of this command's own: what earlier commands spent is not its business.
            budget = f"{scope[:100]}/{secrets.token_hex(4)}"
            house.gateway.budgets.open(budget, limit_pico=pico(budget_usd))
        self.account = Account(scope=scope, budget=budget)
        self._lm = house.gateway.lm(settings, self.account, phase="predict", role="task")

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The input fields of `given`; what else is in it is left alone.

        Raises:
            BadInput: a field is missing.
        """
        missing = [name for name in self.inputs if name not in given]
        if missing:
            close = get_close_matches(missing[0], [key for key in given if key not in self.inputs], n=1)
            raise BadInput(
                f"the input lacks {', '.join(map(repr, missing))}",
                hint=f"there is {close[0]!r}; is that it?" if close else f"fields: {', '.join(self.inputs)}",
            )
        return {name: given[name] for name in self.inputs}

    def answer(self, number: int, given: Mapping[str, Any]) -> Line:
        """Answer one input; what goes wrong with it alone is its `error`."""
        try:
            prediction = self._program(**self.checked(given))
        except StropError as problem:
            return Line(number=number, input=given, error=problem.message)
        except Exception as problem:  # noqa: BLE001 - DSPy's and the program's own errors are this line's outcome
            return Line(number=number, input=given, error=f"{type(problem).__name__}: {problem}".splitlines()[0][:300])
        return Line(number=number, input=given, output={name: prediction.get(name) for name in self.outputs})

    def answers(self, rows: Iterable[Line], concurrency: int) -> Iterator[Line]:
        """Answer the rows in their order, holding only a few at a time. Rows that have an error pass through.

        Raises:
            BudgetExceeded: the budget does not allow the next call.
            ProviderDown, RunFailed: the model cannot be used.
        """
        from strop.programs import running_on

        waiting: deque[Future[Line]] = deque()
        with running_on(self._lm), ThreadPoolExecutor(concurrency, thread_name_prefix="strop-predict") as pool:
            try:
                for row in rows:
                    work = self._passed if row.error is not None else self._answered
                    waiting.append(pool.submit(contextvars.copy_context().run, work, row))
                    if len(waiting) >= AHEAD * concurrency:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except RunStopped as stop:
                raise self._cause(stop) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _passed(self, row: Line) -> Line:
        return row

    def _answered(self, row: Line) -> Line:
        return self.answer(row.number, row.input)

    def _cause(self, stop: RunStopped) -> StropError:
        cause = self.account.switch.cause
        if isinstance(cause, StropError):
            return cause
        return BudgetExceeded(stop.detail) if stop.cause == "budget_exceeded" else RunFailed(stop.detail)


@contextmanager
def predictor(
    house: House, name: str, version: int | str | None, *, model: str | None, budget_usd: float | None
) -> Generator[Predictor]:
    """The predictor of a version (None: the active one), on the model it was optimised for unless another is named.

    Raises:
        NotFound: there is no such version, or nothing says which model it runs on.
    """
    from strop.runs import importing_from

    found = house.registry.get(name, version)
    settings, directory = _home(house, found)
    with importing_from(directory or house.place.prices.parent):
        yield Predictor(house, found, _model(found, settings, model), budget_usd)


def _home(house: House, version: Version) -> tuple[ModelSettings | None, Path | None]:
    """The task model with all its settings, and the directory, of the run that made a version."""
    from strop.runs import TaskSpec

    run = version.lineage.get("run") or version.lineage.get("run_id")
    try:
        record = house.journal.get(str(run)) if run else None
    except NotFound:
        record = None
    if record is None:
        return None, None
    directory = None if record.directory is None else Path(record.directory)
    return TaskSpec.model_validate(record.spec, strict=False).models.task, directory


def _model(version: Version, settings: ModelSettings | None, model: str | None) -> ModelSettings:
    from strop.gateway import ModelSettings

    named = model or (version.lineage.get("models") or {}).get("task")
    if settings is not None and named in {None, settings.model}:
        return ModelSettings.model_validate(settings.model_dump())
    if named is None:
        raise NotFound(f"nothing says on which model {version.name!r} runs", hint="name one with --model")
    return ModelSettings(model=named)


def read_rows(lines: Iterable[str], rejected: Callable[[Line], None]) -> Iterator[Line]:
    """JSON objects of a JSONL text, empty lines skipped; a line that is none comes with its reason."""
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            value: Any = json.loads(text)
            problem = None if isinstance(value, dict) else "is not a JSON object"
        except ValueError as error:
            value, problem = {}, f"is not JSON: {error}"
        row = Line(number=number, input=value if isinstance(value, dict) else {}, error=problem)
        if problem is not None:
            rejected(row)
        yield row
