"""The Python guide's door: awaitable faces over the house, for programs that optimise and serve their own prompts."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Self, TypeVar

from strop.app import House
from strop.datasets import Split
from strop.errors import BadInput, NotFound, ProviderDown, RunFailed, RunStopped, StropError
from strop.evaluation import answer_of, evaluate
from strop.gateway import Account, ModelSettings, pico, usd
from strop.metrics import CustomMetric, MetricType
from strop.metrics import build as build_metric
from strop.programs import ProgramSpec, build, fields, prompt_text, prompts, running_on
from strop.registry import LoadedProgram, Version
from strop.runs import Plan, Runner, TaskSpec
from strop.runs.asked import Shape, field_name, full_model_name, shape_of, task_name, task_of
from strop.runs.guide import (
    OptimizationAnalytics,
    OptimizationConstraints,
    OptimizationObjective,
    OptimizationRequest,
    OptimizationResult,
    PerformanceMetrics,
)
from strop.runs.told import measured, notes_of, of_run, too_few

if TYPE_CHECKING:
    import dspy

T = TypeVar("T")

SMALL, LARGE = "embedded/small", "embedded/large"
MODEL_VARIABLE = "STROP_MODEL"
AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A program ready to answer. `metadata` is what was given to `save_optimized_model`."""

    name: str
    version: str
    spec: ProgramSpec
    program: dspy.Module
    model: ModelSettings
    house: House
    metrics: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def predict(self, input_data: Mapping[str, Any]) -> Any:
        """The answer: the value of a single output field, else a dict of them. Other keys of `input_data` are left alone.

        Raises:
            BadInput: an input field is missing.
            StropError: there is no answer.
        """
        inputs, outputs = fields(self.spec)
        given = {field_name(str(key)): value for key, value in input_data.items()}
        missing = [name for name in inputs if name not in given]
        if missing:
            raise BadInput(
                f"{self.name} needs the input {missing[0]!r}, got {', '.join(map(repr, input_data)) or 'nothing'}",
                hint=f"its inputs are {', '.join(inputs)}",
            )
        account = Account(scope=f"predict:{self.name}"[:120])
        lm = self.house.gateway.lm(self.model, account, phase="predict", role="task")
        try:
            with running_on(lm):
                answer = answer_of(self.program(**{name: given[name] for name in inputs}))
        except RunStopped as stop:
            raise _cause(account, stop) from None
        except StropError:
            raise
        except Exception as error:
            raise RunFailed(f"{self.name} gave no answer: {type(error).__name__}: {error}") from error
        return answer[outputs[0]] if len(outputs) == 1 else {name: answer[name] for name in outputs}


class OptimizationPipeline:
    """Optimises, keeps and serves programs. Safe for any number of concurrent tasks; the house opens when it is needed.

    `directory` is where `.strop/`, `.env` and `prices.yaml` are (default: the current one), `database` a path or URL
    in place of `.strop/strop.db`. `model` answers when neither the request nor STROP_MODEL names another.
    """

    def __init__(
        self,
        gpu_config: Any = None,
        mlflow_config: Any = None,
        *,
        database: str | None = None,
        directory: str | Path | None = None,
        model: str | Mapping[str, Any] | None = None,
        prompt_model: str | Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (("gpu_config", gpu_config), ("mlflow_config", mlflow_config)):
            if value is not None:
                raise BadInput(f"{name} is not understood by this version of Strop", hint=f"leave {name} out")
        self._directory = Path(directory) if directory is not None else Path.cwd()
        self._database = database
        self._model = model
        self._prompt_model = prompt_model
        self._lock = threading.Lock()
        self._opened: House | None = None
        self._used: dict[str, ModelSettings] = {}
        self._private: set[str] = set()
        self._measured: set[str] = set()
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="strop-pipeline")
        self._closing = weakref.finalize(self, self._threads.shutdown, wait=False)

    @property
    def house(self) -> House:
        """What this pipeline works on: its gateway, registry, ledger and events."""
        with self._lock:
            if self._opened is None:
                self._opened = House.at(self._directory, database=self._database)
                self._closing.detach()
                self._closing = weakref.finalize(self, _close, self._threads, self._opened)
            return self._opened

    def close(self) -> None:
        """Wait for what is running and close the database. Leaving the pipeline to itself closes it too."""
        self._threads.shutdown(wait=True)
        self._closing()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    async def optimize(self, request: OptimizationRequest) -> OptimizationResult:
        """Measure, search, prove on sealed examples, keep a version. Cancelling the task cancels the run.

        With too few examples nothing is searched: the program is measured on what there is and kept, the status is
        `insufficient_data`, and a UserWarning says so.

        Raises:
            BadInput: the request or its examples cannot be used.
            ConstraintsUnmet: no program satisfies the constraints.
            StropError: the run failed; nothing was invented in its place.
        """
        asked = request.model_copy(deep=True)
        run = _Run(self, asked)
        result = await self._in_thread(run.carry_out, run.cancel)
        if not asked.enable_analytics:
            self._private.add(result.optimization_id)
        if result.status == "insufficient_data":
            warnings.warn(result.message, UserWarning, stacklevel=2)
        return result

    async def predict(self, model_id: str, input_data: Mapping[str, Any]) -> Any:
        """Answer with a version: `name@2`, or `name` for the active one. See `LoadedModel.predict`."""
        return await self._in_thread(lambda: self._load(model_id, None).predict(input_data))

    async def save_optimized_model(
        self,
        model_id: str,
        output_path: str | Path | None = None,
        version: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a version to a file, keep it under `version` for `load_model`, or both.

        The file is JSON whatever its name; a `.pkl` gets a UserWarning that says so. Without `output_path` the version
        is kept in the database alone.

        Raises:
            BadInput: `version` does not look like 1.2.0, or is another program already.
            StoreUnwritable: the file cannot be written.
        """
        notice = await self._in_thread(lambda: self._save(model_id, output_path, version, metadata))
        if notice is not None:
            warnings.warn(notice, UserWarning, stacklevel=2)

    async def load_model(self, name: str, version: str | int | None = None) -> LoadedModel:
        """A saved version, a version of the registry (label or number), the active one, or one written to a file.

        Raises:
            NotFound: there is none.
            ArtifactRefused: the file was altered, or is a pickle; it is not executed.
        """
        return await self._in_thread(lambda: self._load(name, version))

    async def get_analytics(self, optimization_id: str) -> OptimizationAnalytics:
        """Cost and latency of an optimisation, from the ledger.

        Raises:
            NotFound: there is no such optimisation.
            BadInput: it was asked for with `enable_analytics=False`.
        """
        return await self._in_thread(lambda: self._analytics(optimization_id))

    async def _in_thread(self, work: Callable[[], T], cancel: Callable[[], None] | None = None) -> T:
        """Run `work` beside the event loop in this context. A cancelled task waits until `cancel` has taken effect."""
        job = asyncio.wrap_future(self._threads.submit(copy_context().run, work))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            job.add_done_callback(_ignored)
            while cancel is not None and not job.done():
                cancel()
                await asyncio.wait({job}, timeout=0.1)
            raise

    def models_of(self, request: OptimizationRequest) -> tuple[Any, Any]:
        """Task and prompt model: the request's, this pipeline's, the environment's, the embedded ones."""
        first = request.constraints.target_model or request.model or self._model or os.environ.get(MODEL_VARIABLE)
        task = _settings(first or SMALL)
        prompt = request.prompt_model or self._prompt_model or (LARGE if task["model"].startswith("embedded/") else None)
        return task, None if prompt is None else _settings(prompt)

    def ran_on(self, model_id: str, model: ModelSettings, *, measured_only: str | None = None) -> None:
        """Remember which model a version was made for, with its address and limits."""
        self._used[model_id] = model
        if measured_only is not None:
            self._measured.add(measured_only)

    def _version(self, model_id: str) -> Version:
        registry = self.house.registry
        name, at, number = model_id.rpartition("@")
        if at and number.isdigit():
            return registry.get(name, int(number))
        if "==" in model_id:
            return registry.get(model_id, 1)
        return registry.get(task_name(model_id))

    def _load(self, name: str, version: str | int | None) -> LoadedModel:
        registry = self.house.registry
        if version is None and Path(name).suffix.lower() in {".json", ".pkl", ".pickle"}:
            file = registry.load_file(name)
            return self._ready(file, f"{file.name}@{file.number}", file.program(), file.metrics)
        if version is None:
            found = self._version(name)
        elif isinstance(version, int) or version.isdigit():
            found = registry.get(task_name(name), int(version))
        else:
            try:
                found = registry.get(_saved_name(task_name(name), version), 1)
            except NotFound:
                found = registry.get(task_name(name), version)
        model_id = found.name if "==" in found.name else f"{found.name}@{found.number}"
        return self._ready(found, model_id, registry.program(found), found.metrics)

    def _ready(
        self, found: Version | LoadedProgram, model_id: str, program: dspy.Module, metrics: Mapping[str, Any]
    ) -> LoadedModel:
        recorded = found.lineage.get("models", {}).get("task")
        known = self._used.get(model_id) or self._used.get(str(found.lineage.get("saved_from")))
        return LoadedModel(
            name=model_id.partition("@")[0].partition("==")[0],
            version=found.label,
            spec=found.spec,
            program=program,
            model=known or ModelSettings(**_settings(recorded or self._model or SMALL)),
            house=self.house,
            metrics=metrics,
            metadata=json.loads(found.notes) if found.notes.startswith("{") else {},
        )

    def _save(
        self, model_id: str, path: str | Path | None, label: str | None, metadata: Mapping[str, Any] | None
    ) -> str | None:
        registry = self.house.registry
        found = self._version(model_id)
        if label is not None or metadata is not None or path is None:
            name = _saved_name(found.name, label or found.label)
            notes = json.dumps(dict(metadata or {}), default=str, sort_keys=True)
            with self.house.store.write() as connection:
                kept = registry.register(
                    name, spec=found.spec, state=registry.state(found), metrics=found.metrics, label=label or found.label,
                    lineage={
                        **found.lineage, "parent": found.number, "parent_name": found.name,
                        "saved_from": f"{found.name}@{found.number}",
                    },
                    notes=notes, origin="saved", connection=connection,
                )  # fmt: skip
                if kept.number != 1 or (metadata is not None and kept.notes != notes):
                    raise BadInput(f"version {kept.label} of {found.name!r} was saved before, as something else",
                                   hint="save under a new version")  # fmt: skip
            found = kept
        return None if path is None else registry.export(found.name, found.number, path).notice

    def _analytics(self, optimization_id: str) -> OptimizationAnalytics:
        from strop.stats import percentile

        house = self.house
        if optimization_id in self._private:
            raise BadInput(f"optimisation {optimization_id!r} was asked for with enable_analytics=False")
        if optimization_id not in self._measured:
            house.journal.get(optimization_id)
        cost, costs, latencies, calls = 0, list[int](), list[float](), 0
        for row in house.gateway.ledger.every_row(f"run:{optimization_id}"):
            if row["source"] not in {"paid", "embedded"}:
                continue
            calls += 1
            cost += row["cost_pico"] or 0
            if row["role"] == "task" and row["status"] == "ok":
                costs.append(row["cost_pico"] or 0)
                latencies.append((row["finished_us"] - row["started_us"]) / 1000)
        return OptimizationAnalytics(
            optimization_id=optimization_id,
            total_cost_usd=usd(cost),
            cost_per_sample=usd(sum(costs)) / len(costs) if costs else None,
            latency_p50_ms=percentile(latencies, 50) if latencies else None,
            latency_p95_ms=percentile(latencies, 95) if latencies else None,
            calls=calls,
        )
