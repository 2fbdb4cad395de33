"""GEPA: a model reflects on traces and feedback, and rewrites one instruction at a time along a Pareto front."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, model_validator

from strop.optimizers.measuring import StageEvaluate
from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.rebind import Overlay, derived, rebound
from strop.optimizers.settings import AlgorithmSettings
from strop.optimizers.stage import QUIET, Stage

if TYPE_CHECKING:
    import dspy

GENETIC = ("population_size", "num_generations", "mutation_rate", "crossover_rate", "elite_size", "tournament_size")


class GEPASettings(AlgorithmSettings):
    """Settings of GEPA. Exactly one of `auto`, `max_full_evals`, `max_metric_calls` sets how much it tries."""

    auto: Literal["light", "medium", "heavy"] | None = "light"
    """How much to try, by DSPy's own measure."""
    max_full_evals: int | None = Field(default=None, ge=1)
    """Budget in evaluations of all train and dev examples."""
    max_metric_calls: int | None = Field(default=None, ge=1)
    """Budget in scored answers; exceeded by at most one evaluation of the dev examples."""
    reflection_minibatch_size: int = Field(default=8, ge=1, le=1000)
    """Examples that one reflection sees (DSPy's own default is 3)."""
    candidate_selection_strategy: Literal["pareto", "current_best"] = "pareto"
    """Which program is rewritten next."""
    skip_perfect_score: bool = True
    """Do not reflect on a minibatch without a fault."""
    add_format_failure_as_feedback: bool = False
    """Show answers that could not be read to the reflecting model."""
    use_merge: bool = False
    """Merge good programs. Off, because GEPA 0.1.4 merges in the order of a set of strings: the result would depend on
    PYTHONHASHSEED. Set that variable when you turn it on."""
    max_merge_invocations: int = Field(default=5, ge=0)
    """Most merges."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many iterations without a better program."""
    population_size: int | None = Field(default=None, ge=1)
    """Of a genetic algorithm; GEPA is none. With `num_generations` it sets `max_metric_calls` to their product."""
    num_generations: int | None = Field(default=None, ge=1)
    """See `population_size`."""
    mutation_rate: float | None = Field(default=None, ge=0, le=1)
    """Of a genetic algorithm; understood and not used."""
    crossover_rate: float | None = Field(default=None, ge=0, le=1)
    """Of a genetic algorithm; understood and not used."""
    elite_size: int | None = Field(default=None, ge=0)
    """Of a genetic algorithm; understood and not used."""
    tournament_size: int | None = Field(default=None, ge=1)
    """Of a genetic algorithm; understood and not used."""

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        named = {key: value for key, value in given.items() if value is not None}
        if "population_size" in named or "num_generations" in named:
            product = int(named.get("population_size", 30)) * int(named.get("num_generations", 15))
            named.setdefault("max_metric_calls", product)
        budgets = {"auto", "max_full_evals", "max_metric_calls"} & set(named)
        if len(budgets) > 1:
            raise ValueError(f"give one of {', '.join(sorted(budgets))}: each is a budget of its own")
        return named if not budgets or "auto" in budgets else {**named, "auto": None}

    @property
    def genetic(self) -> dict[str, Any]:
        """The keys of a genetic algorithm that were given."""
        return {key: getattr(self, key) for key in GENETIC if getattr(self, key) is not None}


class GEPA:
    """DSPy's GEPA."""

    name = "gepa"
    title = "GEPA"
    settings = GEPASettings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield each accepted program with its dev score, and at last the best again."""
        return Stage(brief).results(partial(self._run, brief.settings))

    def calls(self, settings: GEPASettings, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
        """Scored answers as GEPA counts them, and a reflection an iteration (three of ten expected to be accepted)."""
        n, batch = n_dev or n_train, settings.reflection_minibatch_size
        budget = metric_calls(settings, n_train, n_dev, predictors)
        left = max(0, budget - n)
        expected = max(budget, n) * predictors + self.written(settings, n_train, n_dev, predictors)
        worst = (max(budget, n) + 2 * batch + n) * predictors + 2 * (left / batch + 1)
        return round(expected), round(worst)

    def written(self, settings: GEPASettings, n_train: int, n_dev: int, predictors: int = 1) -> int:
        """A reflection an iteration, which scores two minibatches and three times of ten all dev examples."""
        n = n_dev or n_train
        left = max(0, metric_calls(settings, n_train, n_dev, predictors) - n)
        return round(left / (2 * settings.reflection_minibatch_size + 0.3 * n))

    def _run(self, settings: GEPASettings, stage: Stage) -> None:
        dev = stage.dev or stage.train
        budget = metric_calls(settings, len(stage.train), len(stage.dev), len(stage.program.predictors()))
        if settings.genetic:
            stage.note(
                "mapped",
                text=f"GEPA reflects and is no genetic algorithm: {', '.join(settings.genetic)} only set its budget to "
                f"{budget} scored answers (population_size x num_generations)",
                max_metric_calls=budget,
                given=settings.genetic,
            )
        best: list[float] = [-1.0]
        algorithm = _algorithm(settings, stage, Listener(stage, budget, best))
        stage.note("phase", name="reflect", budget=budget)
        program = algorithm.compile(stage.program, trainset=stage.train, valset=dev)
        stage.found(program, best[0], len(dev), "best on the Pareto front")


def metric_calls(settings: GEPASettings, n_train: int, n_dev: int, predictors: int) -> int:
    """GEPA's budget in scored answers."""
    if settings.max_metric_calls is not None:
        return settings.max_metric_calls
    if settings.max_full_evals is not None:
        return settings.max_full_evals * (n_train + n_dev)
    from dspy.teleprompt.gepa.gepa import AUTO_RUN_SETTINGS
    from dspy.teleprompt.gepa.gepa import GEPA as DspyGEPA  # noqa: N811 - DSPy's spelling

    measure: Any = cast("Any", DspyGEPA).auto_budget
    candidates = AUTO_RUN_SETTINGS[str(settings.auto)]["n"]
    return int(measure(None, num_preds=predictors, num_candidates=candidates, valset_size=n_dev or n_train))


class Listener:
    """Hears GEPA's own events."""

    def __init__(self, stage: Stage, budget: int, best: list[float]) -> None:
        self._stage = stage
        self._budget = budget
        self._best = best

    def on_iteration_start(self, event: Any) -> None:
        used = int(event["state"].total_num_evals)
        self._stage.note("iteration", number=int(event["iteration"]) - 1, used=used, of=self._budget)

    def on_valset_evaluated(self, event: Any) -> None:
        score, n = float(event["average_score"]), int(event["num_examples_evaluated"])
        self._best[0] = max(self._best[0], score)
        number = int(event["candidate_idx"])
        self._stage.note("score", number=number, score=score, n=n, best=bool(event["is_best_program"]))
        origin = "the program as it came" if number == 0 else f"rewrite {number}"
        self._stage.found(self._program(event["candidate"]), score, n, origin, parents=list(event["parent_ids"]))

    def _program(self, texts: dict[str, str]) -> dspy.Module:
        program = self._stage.program.deepcopy()
        parts: list[tuple[str, Any]] = program.named_predictors()
        for name, predictor in parts:
            if name in texts:
                predictor.signature = predictor.signature.with_instructions(texts[name])
        return program


def _algorithm(settings: GEPASettings, stage: Stage, listener: Listener) -> Any:
    """DSPy's GEPA with our evaluator, without its progress bar.

    DSPy imports its adapter and gepa inside functions; those imports are answered with private copies.
    """
    import gepa
    from dspy.teleprompt import GEPA as DspyGEPA  # noqa: N811 - DSPy's spelling
    from dspy.teleprompt import bootstrap_trace
    from dspy.teleprompt.gepa import gepa_utils
    from gepa import api

    evaluate = partial(StageEvaluate, stage, None)
    traced = rebound(bootstrap_trace.bootstrap_trace_data, {**QUIET, "Evaluate": evaluate})
    adapter = derived(
        gepa_utils.DspyAdapter,
        {**QUIET, "Evaluate": evaluate},
        {"dspy.teleprompt": SimpleNamespace(bootstrap_trace=SimpleNamespace(bootstrap_trace_data=traced))},
    )

    def optimize(**arguments: Any) -> Any:
        run: Any = api.optimize
        return run(**{**arguments, "display_progress_bar": False})

    imports = {
        "gepa": Overlay(gepa, optimize=optimize),
        "dspy.teleprompt.gepa.gepa_utils": Overlay(gepa_utils, DspyAdapter=adapter),
    }
    extras: dict[str, Any] = {"callbacks": [listener]}
    if settings.patience is not None:
        from gepa.utils.stop_condition import NoImprovementStopper

        extras["stop_callbacks"] = [NoImprovementStopper(settings.patience)]
    return derived(cast("Any", DspyGEPA), QUIET, imports)(
        metric=stage.feedback,
        auto=settings.auto,
        max_full_evals=settings.max_full_evals,
        max_metric_calls=settings.max_metric_calls,
        reflection_minibatch_size=settings.reflection_minibatch_size,
        candidate_selection_strategy=settings.candidate_selection_strategy,
        reflection_lm=stage.prompt,
        skip_perfect_score=settings.skip_perfect_score,
        add_format_failure_as_feedback=settings.add_format_failure_as_feedback,
        use_merge=settings.use_merge,
        max_merge_invocations=settings.max_merge_invocations,
        num_threads=stage.brief.concurrency,
        warn_on_score_mismatch=False,
        seed=stage.brief.seed,
        gepa_kwargs=extras,
    )
