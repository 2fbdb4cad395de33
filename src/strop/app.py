"""Builds the house once: the only file that chooses concrete parts and wires who listens to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from strop.datasets import Dataset, Split
from strop.errors import BadInput, StoreUnwritable
from strop.events import Bus, Event, Listener
from strop.gateway import Gateway, PriceTable, Redactor
from strop.metrics import CustomMetric, Metric
from strop.registry import Registry
from strop.runs import Journal, Plan, Runner, RunRecord, RunResult, TaskSpec, load_task, make_plan, write_report
from strop.settings import Place, load_env
from strop.store import Store


class House:
    """One database and everything that works on it."""

    def __init__(self, place: Place, *, replay: bool = False) -> None:
        self.place = place
        self.store = Store.open(place.database)
        self.bus = Bus()
        self.redact = Redactor()
        self.gateway = Gateway(self.store, prices=PriceTable.load(place.prices), redact=self.redact, replay=replay)
        self.registry = Registry(self.store)
        self.journal = Journal(self.store)

    @classmethod
    def at(
        cls, directory: Path, task: TaskSpec | None = None, *, database: str | None = None, replay: bool = False
    ) -> Self:
        """The house of a task's directory, with the keys of its `.env`."""
        load_env(directory)
        return cls(Place.of(directory, task, database=database), replay=replay)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is left and close the database."""
        self.gateway.close()
        self.store.close()

    def plan(
        self,
        task: TaskSpec,
        directory: Path,
        *,
        data: Split | Dataset | None = None,
        custom_metrics: Sequence[CustomMetric] = (),
        metric: Metric | None = None,
        factory: str | None = None,
    ) -> Plan:
        """What a run of `task` would do. Nothing is called yet."""
        return make_plan(
            task, directory, prices=self.gateway.prices, data=data, custom_metrics=custom_metrics, metric=metric,
            factory=factory,
        )  # fmt: skip

    def runner(self) -> Runner:
        """Somebody who carries out one run at a time."""
        return Runner(store=self.store, gateway=self.gateway, registry=self.registry, bus=self.bus)

    def carry_out(self, plan: Plan, run_id: str | None = None, *, runner: Runner | None = None) -> RunResult:
        """Run a plan, new or resumed, and write its report."""
        runner = runner or self.runner()
        record = runner.create(plan) if run_id is None else self.journal.get(run_id)
        result = runner.run(plan, record.id)
        try:
            return write_report(result, self.place.reports, self.journal)
        except StoreUnwritable as error:
            # The result is safe in the database; only its page is missing, and can be made again.
            self.bus.tell(Event(name="report.failed", scope=f"run:{record.id}", data={"why": error.message}))
            return result

    def plan_again(self, record: RunRecord, **changes: Any) -> Plan:
        """The plan of a recorded run, from the task as it was stored and the data as they are now.

        `changes` are keys of the task that do not change what the run is: budget_usd, timeout_s, concurrency.

        Raises:
            BadInput: the run was made from examples in memory.
        """
        if record.directory is None:
            raise BadInput(f"run {record.id} was given its examples from Python; resume it from there")
        task = TaskSpec.model_validate(record.spec, strict=False)
        return self.plan(task.changed(**changes) if changes else task, Path(record.directory))


def optimize(
    task: str | Path | Mapping[str, Any] | TaskSpec = ".",
    *,
    data: Sequence[Mapping[str, Any]] | Dataset | Split | None = None,
    metric: Metric | Any = None,
    listen: Listener | None = None,
    database: str | None = None,
    **changes: Any,
) -> RunResult:
    """Optimise a task and prove the gain; returns when the run has ended.

    `task` is a task file, its directory, or the same keys as a mapping. `data` replaces the task's files: rows with the
    signature's fields, or a prepared split. `metric` may be a function. `changes` override keys of the task
    (`algorithm="gepa", budget_usd=5`). `listen` hears every event.

    Raises:
        StropError: the run could not begin, or failed; a run that ended early without a verdict returns its result.
    """
    from strop.datasets import load
    from strop.metrics import build as build_metric
    from strop.programs import ProgramSpec, fields

    if isinstance(task, TaskSpec | Mapping):
        keys = dict(task) if isinstance(task, Mapping) else {}
        if data is not None:
            keys.setdefault("data", "memory")
        spec = task if isinstance(task, TaskSpec) else TaskSpec.model_validate(keys, strict=False)
        directory = Path.cwd()
    else:
        file = load_task(task)
        spec, directory = file.spec, file.directory
    if changes:
        spec = spec.changed(**changes)
    given: Split | Dataset | None = None
    if isinstance(data, Split | Dataset):
        given = data
    elif data is not None:
        program = ProgramSpec(signature=spec.signature, instructions=spec.instructions, strategy=spec.strategy)
        inputs, labels = fields(program)
        given = load(data, inputs=inputs, labels=labels, fields=spec.fields)
    with House.at(directory, spec, database=database) as house:
        if listen is not None:
            house.bus.listen(listen)
        built = None if metric is None else build_metric(metric, root=directory)
        result = house.carry_out(house.plan(spec, directory, data=given, metric=built))
    if result.error is not None and result.status == "failed":
        raise result.error
    return result
