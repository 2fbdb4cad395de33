"""The Python guide's door: awaitable faces over the house, for programs that optimise and serve their own prompts."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, Self, TypeVar

from strop.app import House
from strop.datasets import Dataset, Split
from strop.errors import BadInput, ConstraintsUnmet, RunFailed
from strop.gateway import ModelSettings
from strop.metrics import CustomMetric, MetricType
from strop.metrics import build as build_metric
from strop.registry import Version
from strop.runs import (
    LoadedModel,
    OptimizationAnalytics,
    OptimizationConstraints,
    OptimizationObjective,
    OptimizationRequest,
    OptimizationResult,
    PerformanceMetrics,
    Plan,
    Runner,
    RunResult,
    analytics,
    config_of,
    full_model_name,
    load,
    measure_only,
    notes_of,
    of_run,
    save,
    shape_of,
    task_of,
    too_few,
)

T = TypeVar("T")

SMALL, LARGE = "embedded/small", "embedded/large"
MODEL_VARIABLE = "STROP_MODEL"
AT_ONCE = 64
"""Optimisations and predictions of one pipeline that run at the same time; more wait."""


class OptimizationPipeline:
    """Optimises, keeps and serves programs. Any number of tasks may share one; its house opens when it is first needed.

    `directory` is where `.strop/`, `.env` and `prices.yaml` are (default: the current one), `database` a path or URL
    in place of `.strop/strop.db`. `model` answers when the request names none; without it STROP_MODEL does, else
    `embedded/small`, a small offline model for trials. `prompt_model` writes instructions.
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
        for name, value, what in (
            ("gpu_config", gpu_config, "GPU acceleration"),
            ("mlflow_config", mlflow_config, "MLflow"),
        ):
            if value is not None:
                raise BadInput(f"{what} is not part of this version of Strop", hint=f"leave {name} out")
        self.directory = Path.cwd() if directory is None else Path(directory)
        self._database = database
        self._model = model
        self._prompt_model = prompt_model
        self._lock = threading.Lock()
        self._opened: House | None = None
        self._made_for: dict[str, ModelSettings] = {}
        self._asked: dict[str, OptimizationRequest] = {}
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="strop-pipeline")
        self._closing = weakref.finalize(self, self._threads.shutdown, wait=False)

    @property
    def house(self) -> House:
        """What this pipeline works on: its gateway, registry, ledger and events."""
        with self._lock:
            if self._opened is None:
                self._opened = House.at(self.directory, database=self._database)
                self._closing.detach()
                self._closing = weakref.finalize(self, _close, self._threads, self._opened)
            return self._opened

    def close(self) -> None:
        """Wait for what is running and close the database. A pipeline that is left to itself is closed too."""
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
        result = await self._beside(run.carry_out, run.cancel)
        if result.status == "insufficient_data":
            warnings.warn(result.message, UserWarning, stacklevel=2)
        return result

    async def predict(self, model_id: str, input_data: Mapping[str, Any]) -> Any:
        """Answer with a version, `name@2`, or with the active one, `name`. See `LoadedModel.predict`."""
        return await self._beside(lambda: self._load(model_id, None).predict(input_data))

    async def save_optimized_model(
        self,
        model_id: str,
        output_path: str | Path | None = None,
        version: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a version to a file, keep it under `version` for `load_model`, or both.

        The file is JSON whatever its name; a UserWarning says so of a `.pkl`. Without `output_path` the version is kept
        in the database alone.

        Raises:
            BadInput: `version` does not look like 1.2.0, or was saved before with other content.
            StoreUnwritable: the file cannot be written.
        """
        notice = await self._beside(
            lambda: save(
                self.house.store, self.house.registry, model_id, path=output_path, version=version, metadata=metadata
            )
        )
        if notice is not None:
            warnings.warn(notice, UserWarning, stacklevel=2)

    async def load_model(self, name: str, version: str | int | None = None) -> LoadedModel:
        """A saved version, a version of the registry (label or number), the active one, or one from a file.

        Raises:
            NotFound: there is none.
            ArtifactRefused: the file was altered, or is a pickle; it is not executed.
        """
        return await self._beside(lambda: self._load(name, version))

    async def get_analytics(self, optimization_id: str) -> OptimizationAnalytics:
        """Cost and latency of an optimisation, from the ledger.

        Raises:
            NotFound: there is no such optimisation.
            BadInput: it was asked for with `enable_analytics=False`.
        """
        return await self._beside(lambda: self._analytics(optimization_id))

    async def _beside(self, work: Callable[[], T], cancel: Callable[[], None] | None = None) -> T:
        """Run `work` beside the event loop in this context. A cancelled task waits until `cancel` has taken effect."""
        job = asyncio.wrap_future(self._threads.submit(copy_context().run, work))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            job.add_done_callback(_heard)
            while cancel is not None and not job.done():
                cancel()
                await asyncio.wait({job}, timeout=0.1)
            raise

    def _load(self, name: str, version: str | int | None) -> LoadedModel:
        return load(self.house.gateway, self.house.registry, name, version, models=self._made_for)

    def _analytics(self, optimization_id: str) -> OptimizationAnalytics:
        asked = self._asked.get(optimization_id)
        if asked is None:
            self.house.journal.get(optimization_id)
        elif not asked.enable_analytics:
            raise BadInput(f"optimisation {optimization_id!r} was asked for with enable_analytics=False")
        return analytics(self.house.gateway.ledger, optimization_id, costs=asked is None or asked.track_costs)

    def models_for(self, request: OptimizationRequest) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Task and prompt model: the request's, this pipeline's, the environment's, the embedded ones."""
        named = request.constraints.target_model or request.model or self._model
        task = _settings(named or os.environ.get(MODEL_VARIABLE) or SMALL)
        embedded = str(task.get("model", "")).startswith("embedded/")
        prompt = request.prompt_model or self._prompt_model or (LARGE if embedded else None)
        return task, None if prompt is None else _settings(prompt)

    def remember(self, request: OptimizationRequest, result: OptimizationResult, model: ModelSettings) -> None:
        """What the database does not hold: a model's address and limits, and the request's flags."""
        self._asked[result.optimization_id] = request
        self._made_for[result.model_id] = model


class _Run:
    """One optimisation, in a thread of its own."""

    def __init__(self, pipeline: OptimizationPipeline, request: OptimizationRequest) -> None:
        self._pipeline = pipeline
        self._request = request
        self._cancelled = threading.Event()
        self._runner: Runner | None = None

    def cancel(self) -> None:
        """Stop as soon as possible; asked again and again until the run has ended."""
        self._cancelled.set()
        if self._runner is not None:
            self._runner.cancel("the awaiting task was cancelled")

    def carry_out(self) -> OptimizationResult:
        """The whole of it. Raises what `OptimizationPipeline.optimize` raises."""
        request, house = self._request, self._pipeline.house
        examples = [*request.training_examples, *(request.validation_examples or [])]
        shape = shape_of(examples)
        model, prompt_model = self._pipeline.models_for(request)
        task = task_of(request, shape, model=model, prompt_model=prompt_model)
        settings = ModelSettings(**task.models.task.model_dump())
        rows = shape.dataset(examples) if examples else Dataset(examples=())
        plan = None
        if request.training_examples:
            train = shape.dataset(request.training_examples)
            dev = shape.dataset(request.validation_examples) if request.validation_examples else None
            cut = Split.of(train, dev, seed=task.seed)
            plan = house.plan(task, self._pipeline.directory, data=cut, custom_metrics=request.custom_metrics)
        if plan is None or _insufficient(plan):
            algorithm = plan.optimizer.name if plan is not None else request.algorithm
            result = measure_only(
                house.gateway, house.registry, task, model=settings, examples=rows.examples, algorithm=algorithm,
                metric=plan.metric if plan else build_metric(task.metric, custom=request.custom_metrics),
                message=too_few(algorithm, len(rows)), notes=notes_of(plan) if plan else (),
            )  # fmt: skip
        else:
            result = self._run(house, plan)
        self._pipeline.remember(request, result, settings)
        return result

    def _run(self, house: House, plan: Plan) -> OptimizationResult:
        self._runner = house.runner()
        if self._cancelled.is_set():
            raise RunFailed("cancelled before it began")
        run = house.carry_out(plan, runner=self._runner)
        if run.status in {"failed", "infeasible"} or run.data["dev"] is None:
            raise run.error or RunFailed(f"the run ended before anything was measured ({run.status})")
        version = run.version
        if version is None:
            version = _keep_unproven(house, plan, run)
        config = config_of(plan.task, plan.program, house.registry.program(version), dict(run.data["models"]))
        model_id = f"{version.name}@{version.number}"
        return of_run(run, plan, self._request, model_id=model_id, config=config)


def _keep_unproven(house: House, plan: Plan, run: RunResult) -> Version:
    """The best program of a run that ended before its sealed test, as a version that is not activated."""
    found, dev = run.data["program"], run.data["dev"]
    if found is None:
        raise run.error or ConstraintsUnmet("nothing that was measured satisfies the constraints")
    return house.registry.register(
        plan.task.task,
        spec=plan.program,
        state=found["state"],
        metrics={"metric": plan.metric.name, "dev": dev["optimized"], "dev_n": dev["n"]},
        lineage={"run": run.run_id, "models": run.data["models"], "algorithm": plan.optimizer.name},
        origin=f"run {run.run_id}, {run.status} before the sealed test",
    )


def _insufficient(plan: Plan) -> bool:
    few = any(finding.code == "too_few_examples" for finding in plan.refused)
    return few or not len(plan.split.dev) or not len(plan.split.test)


def _settings(model: str | Mapping[str, Any]) -> dict[str, Any]:
    given = {"model": model} if isinstance(model, str) else dict(model)
    return {**given, "model": full_model_name(str(given.get("model", "")))}


def _heard(job: asyncio.Future[Any]) -> None:
    """Take note of how an abandoned job ended, so that asyncio does not complain that nobody did."""
    if not job.cancelled():
        job.exception()


def _close(threads: ThreadPoolExecutor, house: House) -> None:
    # Not waiting: the last reference may go in one of these very threads.
    threads.shutdown(wait=False)
    house.close()


DSPyOptimizationPipeline = OptimizationPipeline
"""The guide's own name for it, so that its snippets need only another import path."""

__all__ = [
    "CustomMetric",
    "DSPyOptimizationPipeline",
    "LoadedModel",
    "MetricType",
    "OptimizationAnalytics",
    "OptimizationConstraints",
    "OptimizationObjective",
    "OptimizationPipeline",
    "OptimizationRequest",
    "OptimizationResult",
    "PerformanceMetrics",
]
