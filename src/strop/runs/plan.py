"""From a task to a plan: data loaded and split, metric and algorithm chosen, cost estimated; nothing is called yet."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.datasets import Dataset, Example, Finding, Split, advise, check, labels_kind, load, split
from strop.errors import BadInput, DataError, PriceUnknown, SettingsError
from strop.gateway import ModelSettings, Price, PriceTable, TokenUse, show
from strop.metrics import CustomMetric, Metric
from strop.metrics import build as build_metric
from strop.optimizers import find, max_calls_estimate, settings_of, written_calls_estimate
from strop.programs import ProgramSpec, fields
from strop.runs.task import ModelSpec, TaskSpec
from strop.runs.typical import TypicalCall
from strop.stats import detectable_gain, look_alpha

if TYPE_CHECKING:
    from collections.abc import Generator

    from strop.optimizers import Optimizer

TYPICAL_DISAGREEMENT = 0.2
GEPA_LIGHT_EVALS = 12
WRITTEN_TOKENS = 250
DEMOS = 12
"""Examples in the prompt of an optimised program, as a rule."""
ROUNDS = ("max_steps", "depth", "num_candidate_programs", "num_candidates")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run is expected to need: calls, and picodollars in the expected and in the worst case (None: no price)."""

    search_calls: int
    search_calls_most: int
    measuring_calls: int
    expected_pico: int
    worst_pico: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run needs to know before its first call."""

    task: TaskSpec
    directory: Path
    program: ProgramSpec
    split: Split
    metric: Metric
    optimizer: Optimizer
    settings: Any
    why: str
    findings: tuple[Finding, ...]
    estimate: Estimate
    models: Mapping[str, ModelSettings] = field(default_factory=dict[str, ModelSettings])

    @property
    def detectable(self) -> float | None:
        """The smallest gain that the sealed test would find as a rule; None without one, or when none would be."""
        n = len(self.split.test)
        return detectable_gain(n, TYPICAL_DISAGREEMENT, look_alpha(1)) if n else None

    @property
    def refused(self) -> list[Finding]:
        """Findings that forbid the run."""
        return [finding for finding in self.findings if finding.level == "error"]


def make_plan(
    task: TaskSpec,
    directory: Path,
    *,
    prices: PriceTable,
    data: Split | Dataset | None = None,
    custom_metrics: Sequence[CustomMetric] = (),
    metric: Metric | None = None,
    factory: str | None = None,
) -> Plan:
    """Load, split, check and choose. `data` replaces the task's own files.

    Raises:
        BadInput: something in the task or its data cannot be used.
        PriceUnknown: a model has no price.
    """
    with importing_from(directory):
        program = ProgramSpec(
            signature=task.signature,
            instructions=task.instructions,
            strategy=task.strategy,
            tools=task.tools,
            factory=factory,
        )
        inputs, labels = fields(program)
        measured = metric or build_metric(task.metric, custom=custom_metrics, root=directory)
        cut = _split(task, directory, inputs, labels, data)
        models = _models(task)
        priced = {role: prices.price(model.model) for role, model in models.items()}
        typical = TypicalCall(
            program, cut.train.examples, (cut.dev if len(cut.dev) else cut.test).examples, demos=DEMOS
        )
        plain = priced["task"].cost(typical.use(models["task"].model))
        name, given, why = _algorithm(task, cut, plain, prompt_model=models["prompt"] != models["task"])
        optimizer = _named(name)
        settings = settings_of(name, given)
        if task.max_iterations is not None:
            settings = limited(settings, task.max_iterations)
        findings = check(cut, algorithm=name)
    cost = _estimate(settings, cut, typical, priced, models)
    found = [*findings, *_budget_findings(task, cost), *_power_findings(task, cut)]
    return Plan(
        task=task,
        directory=directory,
        program=program,
        split=cut,
        metric=measured,
        optimizer=optimizer,
        settings=settings,
        why=why,
        findings=tuple(found),
        estimate=cost,
        models=models,
    )


@contextmanager
def importing_from(directory: Path) -> Generator[None]:
    """Let `module:name` references find the modules beside the task file."""
    path = str(directory)
    if path in sys.path:
        yield
        return
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)


def limited(settings: Any, iterations: int) -> Any:
    """The settings with the algorithm's own count of rounds lowered to `iterations`, where that is less.

    A round is a trial of MIPROv2, a full evaluation of GEPA, a step of SIMBA, a level of COPRO, a candidate elsewhere.
    """
    if hasattr(settings, "trials"):
        if settings.trials(1) <= iterations:
            return settings
        kept = settings.model_dump(exclude_unset=True, exclude={"auto"})
        return type(settings)(**{**kept, "num_trials": iterations})
    if getattr(settings, "auto", None) and "max_full_evals" in type(settings).model_fields:
        if iterations >= GEPA_LIGHT_EVALS:
            return settings
        kept = settings.model_dump(exclude_unset=True, exclude={"auto"})
        return type(settings)(**{**kept, "max_full_evals": iterations})
    for name in ROUNDS:
        if name in type(settings).model_fields:
            now = getattr(settings, name)
            return settings if now is not None and now <= iterations else settings.model_copy(update={name: iterations})
    return settings


def _named(algorithm: str) -> Optimizer:
    """The algorithm of that name; where there is none, `auto` is told too, which a task may say."""
    try:
        return find(algorithm)
    except SettingsError as error:
        hint = (error.hint or "").replace("known: ", "known: auto, ")
        raise SettingsError(error.message, hint=hint) from None


def _split(
    task: TaskSpec, directory: Path, inputs: Sequence[str], labels: Sequence[str], data: Split | Dataset | None
) -> Split:
    shares = task.data.split
    if isinstance(data, Split):
        return data
    if isinstance(data, Dataset):
        return split(data, seed=task.seed, train=shares.train, dev=shares.dev, test=shares.test)

    def read(name: str) -> Dataset:
        path = directory / Path(name).expanduser()
        if not path.is_file():
            raise DataError(f"there is no data file {name!r} in {directory}", hint="check `data:` in strop.yaml")
        return load(
            path,
            inputs=inputs,
            labels=labels,
            fields=task.fields,
            id_field=task.data.id,
            group_field=task.data.group,
        )

    if task.data.file is not None:
        return split(read(task.data.file), seed=task.seed, train=shares.train, dev=shares.dev, test=shares.test)
    if task.data.train is None or task.data.test is None:
        raise BadInput("`data` needs a `file`, or `train` and `test`")
    dev = read(task.data.dev) if task.data.dev else None
    return Split.of(read(task.data.train), dev, read(task.data.test), seed=task.seed)


def _models(task: TaskSpec) -> dict[str, ModelSettings]:
    chosen = task.models.task
    if task.constraints.target_model is not None:
        chosen = ModelSpec(model=task.constraints.target_model)

    def settings(spec: ModelSpec | None) -> ModelSettings:
        return ModelSettings(**(spec or chosen).model_dump())

    return {"task": settings(None), "prompt": settings(task.models.prompt), "teacher": settings(task.models.teacher)}


def _algorithm(task: TaskSpec, cut: Split, per_call: int, *, prompt_model: bool) -> tuple[str, Mapping[str, Any], str]:
    if task.algorithm.name.lower() != "auto":
        return task.algorithm.name, task.algorithm.settings, "named in the task"
    advice = advise(
        len(cut.train),
        len(cut.dev),
        labels_kind=labels_kind(cut.train.examples),
        budget_usd=task.budget_usd,
        cost_per_call_usd=per_call / 1e12,
        prompt_model=prompt_model,
    )
    return advice.algorithm, {**advice.settings, **task.algorithm.settings}, advice.why


def _estimate(
    settings: Any, cut: Split, typical: TypicalCall, prices: Mapping[str, Price], models: Mapping[str, ModelSettings]
) -> Estimate:
    """The search's prompts are plain ones and ones with examples, half and half; instructions are asked for with a
    prompt about twice as long as the longer kind."""
    sizes = {"n_train": len(cut.train), "n_dev": len(cut.dev)}
    expected, most = max_calls_estimate(settings, **sizes)
    written = written_calls_estimate(settings, **sizes)
    task, prompt, n_test = prices["task"], prices["prompt"], len(cut.test)
    plain, shown = (typical.use(models["task"].model, shown=each) for each in (False, True))
    asked = typical.use(models["prompt"].model, shown=True)
    search = (expected - written) * (task.cost(plain) + task.cost(shown)) // 2
    search += written * prompt.cost(TokenUse(input=2 * asked.input, output=WRITTEN_TOKENS))
    measuring = (len(cut.dev) + n_test) * task.cost(plain) + n_test * task.cost(shown)
    longest = max((_length(one) for one in (*cut.train, *cut.dev, *cut.test)), default=0)
    dearest = {
        role: prices[role].worst_case(
            text_bytes=2 * typical.largest_bytes + longest, messages=2, output_limit=models[role].output_limit
        )
        for role in ("task", "prompt")
    }
    return Estimate(
        search_calls=expected,
        search_calls_most=most,
        measuring_calls=len(cut.dev) + 2 * n_test,
        expected_pico=search + measuring,
        worst_pico=(most - min(most, 2 * written) + len(cut.dev) + 2 * n_test) * dearest["task"]
        + min(most, 2 * written) * dearest["prompt"],
    )


def _length(example: Example) -> int:
    return sum(len(str(value).encode()) for value in example.inputs.values())


def _budget_findings(task: TaskSpec, cost: Estimate) -> list[Finding]:
    if task.budget_usd is None:
        return []
    limit = int(task.budget_usd * 1e12)
    if cost.expected_pico <= limit:
        return []
    return [
        Finding(
            level="warning",
            code="budget_small",
            message=f"the budget of ${task.budget_usd:g} is less than the expected cost of {show(cost.expected_pico)}",
            remedy="raise budget_usd, choose a cheaper algorithm or model, or accept that the search ends early",
        )
    ]


def _power_findings(task: TaskSpec, cut: Split) -> list[Finding]:
    wanted = task.gate.min_gain
    if not len(cut.test) or not wanted:
        return []
    smallest = detectable_gain(len(cut.test), TYPICAL_DISAGREEMENT, look_alpha(1))
    if smallest is not None and smallest <= wanted:
        return []
    shown = "none" if smallest is None else f"about {100 * smallest:.1f} points"
    return [
        Finding(
            level="warning",
            code="test_small",
            message=f"a gain of {100 * wanted:g} points is asked for, but with {len(cut.test)} test examples the "
            f"smallest gain that can reliably be found is {shown}",
            remedy="add examples, or ask for a larger gain",
        )
    ]


__all__ = ["Estimate", "Plan", "PriceUnknown", "importing_from", "limited", "make_plan"]
