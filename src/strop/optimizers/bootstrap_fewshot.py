"""BootstrapFewShot: the program's own good answers become its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from strop.optimizers.ahead import Look, LookAhead, Outcome
from strop.optimizers.bridge import measured
from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.rebind import derived
from strop.optimizers.selecting import arranged
from strop.optimizers.settings import AlgorithmSettings
from strop.optimizers.stage import MAX_ERRORS, QUIET, Stage, abandoned_when

if TYPE_CHECKING:
    import dspy


class BootstrapFewShotSettings(AlgorithmSettings):
    """Settings of BootstrapFewShot. With no setting it is DSPy's own."""

    other_names: ClassVar[Mapping[str, str]] = {
        "num_examples": "max_labeled_demos",
        "bootstrap_rounds": "max_rounds",
        "max_bootstrapped": "max_bootstrapped_demos",
    }

    max_bootstrapped_demos: int = Field(default=4, ge=0, le=1000)
    """Most examples made from the teacher's own good answers. Also called `max_bootstrapped`."""
    max_labeled_demos: int = Field(default=16, ge=0, le=1000)
    """Most examples in the prompt; labelled ones fill what bootstrapping leaves free. Also called `num_examples`."""
    max_rounds: int = Field(default=1, ge=1, le=50)
    """Attempts at each training example, each after the first with a fresh sample. Also called `bootstrap_rounds`."""
    metric_threshold: float = Field(default=1.0, ge=0, le=1)
    """Score from which an answer is good enough to become an example."""
    selection_strategy: Literal["diverse", "hard", "random"] | None = None
    """Order in which training examples are tried: unlike each other first, failed by the program first, or shuffled."""
    include_reasoning: bool = True
    """Keep the reasoning of a chain-of-thought program in its examples."""

    @property
    def demos(self) -> int:
        """Bootstrapped demos wanted: never more than fit into the prompt when the prompt's size was named."""
        if "max_labeled_demos" in self.model_fields_set:
            return min(self.max_bootstrapped_demos, self.max_labeled_demos)
        return self.max_bootstrapped_demos


@cache
def _quiet_bootstrap() -> type[Any]:
    from dspy.teleprompt import BootstrapFewShot

    return derived(BootstrapFewShot, QUIET)


def bootstrap_class(stage: Stage) -> type[Any]:
    """DSPy's BootstrapFewShot for one search: looks ahead, and gives what a shadow has compiled already."""
    base: Any = _quiet_bootstrap()

    class StageBootstrap(base):
        def compile(self, student: Any, *, teacher: Any = None, trainset: Any) -> Any:
            shadow = stage.prepared.pop(bootstrap_key(self.max_bootstrapped_demos, trainset), None)
            if shadow is not None:
                shadow.wait(stage.check)
                if shadow.state == "done":
                    return shadow.result
            return super().compile(student, teacher=teacher, trainset=trainset)

        def compile_now(self, student: Any, trainset: Any) -> Any:
            return super().compile(student, teacher=None, trainset=trainset)

        def _bootstrap(self, *, max_bootstraps: int | None = None) -> None:
            self._position = -1
            self._ahead = self._look_ahead() if stage.looks_ahead and self.trainset else None
            try:
                super()._bootstrap(max_bootstraps=max_bootstraps)
            finally:
                if self._ahead is not None:
                    self._ahead.finish()

        def _bootstrap_one_example(self, example: Any, round_idx: int = 0) -> Any:
            if round_idx == 0:
                self._position += 1
                if self._ahead is not None:
                    self._ahead.visit(self._position)
            task = None if self._ahead is None else self._ahead.task(self._position)
            if task is not None:
                task.wait(stage.check)
                rounds = task.result if task.state == "done" else ()
                if round_idx < len(rounds) and not rounds[round_idx]:
                    return False
            stage.check()
            with measured():
                return super()._bootstrap_one_example(example, round_idx)

        def _look_ahead(self) -> LookAhead:
            bare = self.teacher.deepcopy()
            demos = {name: predictor.demos for name, predictor in self.teacher.named_predictors()}
            for predictor in bare.predictors():
                predictor.demos = []

            def attempt(position: int, look: Look) -> Outcome:
                one = object.__new__(type(self))
                one.__dict__.update(self.__dict__)
                one.teacher = bare.deepcopy()
                for name, predictor in one.teacher.named_predictors():
                    predictor.demos = demos[name]
                one.predictor2name, one.name2traces = {}, {}
                rounds: list[bool] = []
                with measured() as look.calls, abandoned_when(look.over):
                    for number in range(self.max_rounds):
                        rounds.append(bool(base._bootstrap_one_example(one, self.trainset[position], number)))
                        if rounds[-1]:
                            break
                return tuple(rounds)

            return LookAhead(
                size=len(self.trainset),
                enough=self.max_bootstrapped_demos,
                cost=max(1, len(bare.predictors())) * self.max_rounds,
                attempt=attempt,
                submit=lambda job, then: stage.ahead(job, then=then),
                allowance=stage.allowance,
            )

    return StageBootstrap


def bootstrap_key(size: int, trainset: Sequence[Any]) -> Any:
    """Under which a shadow's result is kept: the order of the training examples decides everything."""
    return "bootstrap", size, tuple(map(id, trainset))


def told(stage: Stage) -> None:
    """Say what looking ahead has cost."""
    if stage.brief.warm_ahead:
        stage.note("warmed", calls=stage.allowance.calls, unused=stage.allowance.unused, allowed=stage.allowance.size)


class BootstrapFewShot:
    """DSPy's BootstrapFewShot."""

    name = "bootstrapfewshot"
    title = "BootstrapFewShot"
    settings = BootstrapFewShotSettings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield the one program that bootstrapping makes; it is not scored."""
        settings: BootstrapFewShotSettings = brief.settings
        stage = Stage(brief, threshold=settings.metric_threshold)
        return stage.results(partial(self._run, settings))

    def calls(
        self,
        settings: BootstrapFewShotSettings,
        n_train: int,
        n_dev: int,  # noqa: ARG002 - the contract's signature
        predictors: int = 1,
    ) -> tuple[int, int]:
        """Expected calls (two of three answers are good, DSPy visits examples until it has enough) and the most."""
        expected, worst = bootstrap_calls(n_train, settings.demos, settings.max_rounds, predictors)
        scored = n_train * predictors if settings.selection_strategy == "hard" else 0
        return expected + scored, worst + scored

    def written(self, *_: object, **__: object) -> int:
        """It writes no instructions."""
        return 0

    def _run(self, settings: BootstrapFewShotSettings, stage: Stage) -> None:
        stage.note("phase", name="bootstrap demos", examples=len(stage.train))
        train = arranged(stage, settings.selection_strategy, wanted=settings.demos)
        algorithm = bootstrap_class(stage)(
            metric=stage.metric,
            teacher_settings=stage.teacher_settings,
            max_bootstrapped_demos=settings.demos,
            max_labeled_demos=settings.max_labeled_demos,
            max_rounds=settings.max_rounds,
            max_errors=MAX_ERRORS,
        )
        program = algorithm.compile(stage.program, trainset=train)
        made = [sum("augmented" in demo for demo in predictor.demos) for predictor in program.predictors()]
        if not settings.include_reasoning:
            _without_reasoning(program)
        told(stage)
        stage.found(program, None, 0, f"{max(made, default=0)} bootstrapped examples", bootstrapped=made)


def _without_reasoning(program: dspy.Module) -> None:
    for predictor in program.predictors():
        predictor.demos = [
            demo.without("reasoning") if "augmented" in demo and "reasoning" in demo else demo
            for demo in predictor.demos
        ]


GOOD_ANSWERS = 2 / 3


def bootstrap_calls(n_train: int, enough: int, rounds: int, predictors: int) -> tuple[int, int]:
    """Calls of one bootstrap loop when two thirds of the answers are good, and when none is."""
    if enough == 0:
        return 0, 0
    share = 1 - (1 - GOOD_ANSWERS) ** rounds
    visited = min(n_train, enough / share)
    attempts = sum((1 - GOOD_ANSWERS) ** k for k in range(rounds))
    return round(visited * attempts * predictors), n_train * rounds * predictors
