"""Begins MIPROv2's work as soon as what it needs is there, instead of when the algorithm comes to it.

A trial needs its demo sets and instructions, an instruction needs its demos and the summary of the data, a demo set
needs nothing. All choices among them are known from the start (`mipro_forecast`), so that each piece that gets ready
starts what was waiting for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from strop.optimizers.bootstrap_fewshot import bootstrap_key
from strop.optimizers.measuring import warm
from strop.optimizers.mipro_forecast import Draws, Trial, forecast_trials
from strop.optimizers.rebind import derived, rebound
from strop.optimizers.stage import MAX_ERRORS, QUIET, Stage
from strop.programs import running_on

if TYPE_CHECKING:
    from strop.optimizers.crew import Task
    from strop.optimizers.mipro import MIPROv2Settings

DEFAULT_RANK, TRIAL_RANK = 5, 10
SHOWN_DEMOS = 3
"""Demos that MIPROv2 shows to the model that writes instructions."""


class MIPROAhead:
    """The pieces of one search, and what waits for them."""

    def __init__(self, stage: Stage, settings: MIPROv2Settings, bootstrap: type[Any], certain_trials: int) -> None:
        self._stage = stage
        self._settings = settings
        self._bootstrap = bootstrap
        self._certain_trials = certain_trials
        self._lock = threading.RLock()
        self._demos: dict[int, list[Any]] = {}
        self._instructions: dict[tuple[int, int], str] = {}
        self._trials: list[Trial] = []
        self._undescribed: dict[tuple[int, int], int] = {}
        self._sets = 0
        self._program: Any = None
        self._valset: Sequence[Any] = ()
        self._describer: Callable[[int, int, int, Any], None] | None = None
        self.summary: Task | None = None

    def begin(self, algorithm: Any, program: Any, trainset: Any, *, shape: Any, given: Any) -> None:
        """Start everything that depends on nothing: the default program, the summary, the demo sets.

        `shape` is what DSPy made of the settings: (trials, valset, minibatch, instructions, demo sets).
        """
        trials, self._valset, minibatch, written, self._sets = shape
        self._program = program
        predictors = program.predictors()
        warm(self._stage, program, self._valset, rank=DEFAULT_RANK)
        self._summarise(trainset, algorithm.prompt_model)
        size, labelled = given["max_bootstrapped_demos"], given["max_labeled_demos"]
        if self._settings.zeroshot:
            size = SHOWN_DEMOS
        draws = Draws(algorithm.rng)
        plans = draws.demo_sets(trainset, self._sets, size, labelled=labelled > 0)
        count = min(written, max(1, self._sets))
        proposals = draws.proposals(len(predictors), count)
        self._describer = self._make_describer(algorithm)
        self._undescribed = {divmod(place, count): rollout for place, (_, rollout) in enumerate(proposals)}
        for index, predictor in enumerate(predictors):
            self._instructions[index, 0] = str(predictor.signature.instructions)
        for number, (kind, train, wanted) in enumerate(plans):
            self._demo_set(number, kind, train, wanted, labelled)
        planned = forecast_trials(
            draws,
            [count] * len(predictors),
            None if self._settings.zeroshot else [self._sets] * len(predictors),
            seed=algorithm.seed,
            trials=min(trials, self._certain_trials),
            full_steps=self._settings.minibatch_full_eval_steps if minibatch else None,
            dev=len(self._valset),
            batch=min(self._settings.minibatch_size, len(self._valset)) if minibatch else None,
        )
        with self._lock:
            self._trials = planned
            self._launch()

    def instruction(self, index: int, demo_set: int, text: str) -> None:
        """An instruction was written. The first of each predictor is never tried: DSPy puts the original there."""
        with self._lock:
            if demo_set > 0:
                self._instructions[index, demo_set] = text
            self._launch()

    def instructions(self, found: Any) -> None:
        """The instructions that enter the trials."""
        for index, texts in found.items():
            for place, text in enumerate(texts):
                self.instruction(index, place, text)

    def _summarise(self, trainset: Any, prompt_model: Any) -> None:
        """A chain of calls that needs nothing but the data."""
        from dspy.propose.dataset_summary_generator import create_dataset_summary

        self.summary = self._stage.ahead(
            partial(create_dataset_summary, trainset=trainset, view_data_batch_size=10, prompt_model=prompt_model)
        )

    def _demo_set(self, number: int, kind: str, train: list[Any], wanted: int, labelled: int) -> None:
        from dspy.teleprompt import LabeledFewShot

        if kind == "none":
            self._ready(number, self._program.reset_copy())
        elif kind == "labelled":
            self._ready(number, LabeledFewShot(k=labelled).compile(self._program, trainset=list(train)))
        else:
            one = self._bootstrap(
                metric=self._stage.metric,
                teacher_settings=self._stage.teacher_settings,
                max_bootstrapped_demos=wanted,
                max_labeled_demos=labelled,
                max_errors=MAX_ERRORS,
            )

            def compiled() -> Any:
                program = one.compile_now(self._program, train)
                self._ready(number, program)
                return program

            self._stage.prepared[bootstrap_key(wanted, train)] = self._stage.shadow(f"demos-{number}", compiled)

    def _ready(self, number: int, program: Any) -> None:
        with self._lock:
            self._demos[number] = [predictor.demos for predictor in program.predictors()]
            self._describe()
            self._launch()

    def _launch(self) -> None:
        """Measure the trials that have everything they need."""
        count = len(self._program.predictors())
        for rank, trial in enumerate(self._trials):
            texts = [self._instructions.get((i, trial.instructions[i])) for i in range(count)]
            sets = [self._demos.get(number) for number in trial.demos]
            if trial.begun or None in texts or None in sets:
                continue
            trial.begun = True
            one = self._program.deepcopy()
            for i, predictor in enumerate(one.predictors()):
                predictor.signature = predictor.signature.with_instructions(texts[i])
                if sets:
                    predictor.demos = self._demos[trial.demos[i]][i]
            examples = self._valset if trial.batch is None else [self._valset[index] for index in trial.batch]
            warm(self._stage, one, examples, rank=TRIAL_RANK + rank)

    def _describe(self) -> None:
        """The first two of three calls behind an instruction need its demos, but not the summary of the data."""
        for (index, demo_set), rollout in list(self._undescribed.items()):
            if self._describer is not None and self._shown_demos_known(index, demo_set):
                del self._undescribed[index, demo_set]
                known = [self._demos.get(i, []) for i in range(self._sets)]
                demos = {i: [one[i] if one else [] for one in known] for i in range(len(self._program.predictors()))}
                self._stage.ahead(partial(self._describer, index, demo_set, rollout, demos))

    def _shown_demos_known(self, index: int, demo_set: int) -> bool:
        """DSPy shows the first few bootstrapped demos of a set and of those after it, and none for the first set."""
        if demo_set == 0:
            return True
        shown = 0
        for number in (*range(demo_set, self._sets), *range(demo_set)):
            if number not in self._demos:
                return False
            shown += sum("augmented" in demo for demo in self._demos[number][index])
            if shown >= SHOWN_DEMOS:
                return True
        return True

    def _make_describer(self, algorithm: Any) -> Callable[[int, int, int, Any], None] | None:
        import dspy
        from dspy.propose.grounded_proposer import GenerateModuleInstruction

        try:
            code = quiet_source_code()(self._program)
        except Exception:  # noqa: BLE001 - DSPy then proposes without the program, whatever the reason
            return None
        make = derived(GenerateModuleInstruction, QUIET)

        def blank(**_inputs: Any) -> Any:
            return dspy.Prediction(proposed_instruction="")

        def describe(index: int, demo_set: int, rollout: int, demos: Any) -> None:
            module = make(program_code_string=code, program_aware=True, use_instruct_history=False)
            module.generate_module_instruction = blank
            lm = algorithm.prompt_model.copy(rollout_id=rollout, temperature=algorithm.init_temperature)
            with running_on(lm):
                module(
                    demo_candidates=demos,
                    pred_i=index,
                    demo_set_i=demo_set,
                    program=self._program,
                    previous_instructions="",
                    data_summary="",
                )

        return describe


def quiet_source_code() -> Any:
    """DSPy's reader of a program's source, which prints the signatures that it finds."""
    from dspy.propose.utils import get_dspy_source_code

    quiet = rebound(get_dspy_source_code, QUIET)
    quiet.__globals__["get_dspy_source_code"] = quiet
    return quiet
