"""DSPy's MIPROv2 for one search: its parts are begun ahead of time, its results stay its own."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

from strop.optimizers.bootstrap_fewshot import bootstrap_class
from strop.optimizers.diversity import chosen_by_value
from strop.optimizers.measuring import StageEvaluate
from strop.optimizers.mipro_ahead import MIPROAhead, quiet_source_code
from strop.optimizers.mipro_forecast import Draws
from strop.optimizers.rebind import derived, rebound
from strop.optimizers.stage import QUIET, Stage

if TYPE_CHECKING:
    from strop.optimizers.crew import Task
    from strop.optimizers.mipro import MIPROv2Settings
    from strop.optimizers.mipro_watch import Watch


def mipro_class(stage: Stage, settings: MIPROv2Settings, watch: Watch) -> type[Any]:
    """The class of one search."""
    from dspy.teleprompt import MIPROv2, utils

    bootstrap = bootstrap_class(stage)
    ahead = MIPROAhead(stage, settings, bootstrap, watch.certain_trials)
    names = {
        **QUIET,
        "Evaluate": partial(StageEvaluate, stage, watch.heard),
        "GroundedProposer": _proposer_class(stage, settings, ahead),
        "create_n_fewshot_demo_sets": rebound(
            utils.create_n_fewshot_demo_sets, {**QUIET, "BootstrapFewShot": bootstrap}
        ),
        "eval_candidate_program": rebound(utils.eval_candidate_program, QUIET),
        "_import_optuna": watch.optuna,
    }
    base: Any = derived(MIPROv2, names)

    class StageMIPRO(base):
        def _set_hyperparams_from_run_mode(self, *args: Any, **kwargs: Any) -> Any:
            self._shape = super()._set_hyperparams_from_run_mode(*args, **kwargs)
            return self._shape

        def _bootstrap_fewshot_examples(self, program: Any, trainset: Any, *args: Any, **kwargs: Any) -> Any:
            stage.note("phase", name="bootstrap demos", sets=kwargs["num_fewshot_candidates"])
            if stage.looks_ahead:
                ahead.begin(self, program, trainset, shape=self._shape, given=kwargs)
            return super()._bootstrap_fewshot_examples(program, trainset, *args, **kwargs)

        def _propose_instructions(self, *args: Any, **kwargs: Any) -> Any:
            stage.note("phase", name="propose instructions", number=kwargs["num_instruct_candidates"])
            return super()._propose_instructions(*args, **kwargs)

        def _optimize_prompt_parameters(self, program: Any, instructions: Any, *args: Any) -> Any:
            stage.note("phase", name="try combinations", trials=self._shape[0])
            if stage.looks_ahead:
                ahead.instructions(instructions)
            return super()._optimize_prompt_parameters(program, instructions, *args)

    return StageMIPRO


def _proposer_class(stage: Stage, settings: MIPROv2Settings, ahead: MIPROAhead) -> type[Any]:
    from dspy.propose.dataset_summary_generator import create_dataset_summary
    from dspy.propose.grounded_proposer import GenerateModuleInstruction, GroundedProposer

    def summary(**arguments: Any) -> Any:
        task = ahead.summary
        if task is not None:
            task.wait(stage.check)
            if task.state == "done":
                return task.result
        return create_dataset_summary(**arguments)

    names = {**QUIET, "create_dataset_summary": summary, "get_dspy_source_code": quiet_source_code()}
    names["GenerateModuleInstruction"] = derived(GenerateModuleInstruction, QUIET)
    base: Any = derived(GroundedProposer, names)

    class StageProposer(base):
        def propose_instructions_for_program(
            self, trainset: Any, program: Any, demo_candidates: Any, *args: Any, **given: Any
        ) -> Any:
            sets = max(len(demo_candidates[0]), 1)
            number = min(given["N"], sets)
            predictors = program.predictors()
            common: dict[str, Any] = {"program": program, "demo_candidates": demo_candidates, "trial_logs": {}}
            self._begun: dict[tuple[int, int], Task] = {}
            for place, (tip, rollout) in enumerate(Draws(self.rng).proposals(len(predictors), number)):
                index, demo_set = divmod(place, number)
                job = partial(self.written, tip, rollout, (index, demo_set), common)
                if stage.looks_ahead:
                    self._begun[index, demo_set] = stage.ahead(job, then=partial(self._ready, index, demo_set))
            found = super().propose_instructions_for_program(trainset, program, demo_candidates, *args, **given)
            if settings.diversity_penalty:
                self._diversify(found, predictors, number, sets, common)
            return found

        def propose_instruction_for_predictor(self, *args: Any, **given: Any) -> Any:
            task = self._begun.get((given["pred_i"], given["demo_set_i"]))
            if task is not None:
                task.wait(stage.check)
                if task.state == "done":
                    self.rng.randint(0, 10**9)
                    return task.result
            stage.check()
            return super().propose_instruction_for_predictor(*args, **given)

        def written(self, tip: str, rollout: int, where: tuple[int, int], common: Any) -> str:
            """One proposal with its chance decided."""
            one = object.__new__(base)
            one.__dict__.update(self.__dict__)
            one.use_tip = bool(tip)
            one.rng = Draws.of_one(rollout)
            predictor = common["program"].predictors()[where[0]]
            return base.propose_instruction_for_predictor(
                one, predictor=predictor, pred_i=where[0], demo_set_i=where[1], tip=tip, **common
            )

        def _ready(self, index: int, demo_set: int, task: Task) -> None:
            if task.state == "done" and not settings.diversity_penalty:
                ahead.instruction(index, demo_set, task.result)

        def _diversify(self, found: Any, predictors: Any, number: int, sets: int, common: Any) -> None:
            """Propose as many again, from a generator of its own, and keep those of most value."""
            draws = Draws(random.Random(f"more instructions {stage.brief.seed}"))
            tasks: list[list[Task]] = []
            for index in range(len(predictors)):
                chances = enumerate(draws.proposals(1, number))
                jobs = [partial(self.written, tip, draw, (index, i % sets), common) for i, (tip, draw) in chances]
                tasks.append([stage.crew.submit(job) for job in jobs])
            for index, more in enumerate(tasks):
                stage.crew.wait(more)
                extra = [str(task.result) for task in more if task.state == "done"]
                original = str(predictors[index].signature.instructions)
                kept = chosen_by_value(original, found[index][1:], extra, settings.diversity_penalty)
                found[index][1:] = kept

    return StageProposer
