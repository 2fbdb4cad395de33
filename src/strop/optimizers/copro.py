"""COPRO: instructions written in breadth, measured, and written again from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from strop.optimizers.copies import rebuilt
from strop.optimizers.measuring import StageEvaluate, warm
from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.rebind import Overlay, derived
from strop.optimizers.settings import AlgorithmSettings, percent
from strop.optimizers.stage import QUIET, Reins, Stage

if TYPE_CHECKING:
    import dspy


class COPROSettings(AlgorithmSettings):
    """Settings of COPRO."""

    other_names = {"num_candidates": "breadth", "num_iterations": "depth", "temperature": "init_temperature"}  # noqa: RUF012 - ClassVar in the base

    breadth: int = Field(default=10, ge=2, le=100)
    """Instructions tried at each depth. Also called `num_candidates`."""
    depth: int = Field(default=3, ge=1, le=50)
    """How often new instructions are written from the scores of the old ones. Also called `num_iterations`."""
    init_temperature: float = Field(default=1.4, ge=0, le=2)
    """Sampling temperature of the instructions. Also called `temperature`."""


class COPRO:
    """DSPy's COPRO, measuring on the dev examples (it learns nothing else from examples)."""

    name = "copro"
    title = "COPRO"
    settings = COPROSettings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield each instruction's program with its dev score, and at last the best again."""
        return Stage(brief).results(partial(self._run, brief.settings))

    def calls(self, settings: COPROSettings, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
        """With several predictors all earlier instructions are measured again at each depth."""
        n = n_dev or n_train
        proposals = self.written(settings, n_train, n_dev, predictors)
        rounds = settings.depth * (settings.depth + 1) // 2 if predictors > 1 else settings.depth
        measured = predictors * settings.breadth * rounds * n * predictors
        return proposals + measured, 2 * (proposals + measured)

    def written(self, settings: COPROSettings, n_train: int, n_dev: int, predictors: int = 1) -> int:  # noqa: ARG002 - the contract's signature
        """All instructions but the first, which the program has."""
        return predictors * (settings.breadth * settings.depth - 1)

    def _run(self, settings: COPROSettings, stage: Stage) -> None:
        import dspy
        from dspy.teleprompt import COPRO as DspyCOPRO  # noqa: N811 - DSPy's spelling

        data = stage.dev or stage.train
        several = len(stage.program.predictors())
        rounds = settings.depth * (settings.depth + 1) // 2 if several > 1 else settings.depth
        total = settings.breadth * rounds * several
        count = 0

        def heard(program: dspy.Module, score: float, n: int, _metadata: Any) -> None:
            nonlocal count
            count += 1
            stage.note("score", number=count, of=total, score=percent(score), n=n)
            stage.found(program, percent(score), n, f"instruction {count} of {total}")

        writers = Writers(stage)
        names = {
            **QUIET,
            "dspy": Overlay(dspy, Predict=writers.predict),
            "Evaluate": partial(CandidateEvaluate, writers, stage, heard),
        }
        algorithm = derived(DspyCOPRO, names)(
            prompt_model=writers.lm,
            metric=stage.metric,
            breadth=settings.breadth,
            depth=settings.depth,
            init_temperature=settings.init_temperature,
        )
        set_signature = algorithm._set_signature

        def moved(predictor: Any, signature: Any) -> None:
            writers.moving = predictor
            set_signature(predictor, signature)

        algorithm._set_signature = moved
        program = algorithm.compile(stage.program, trainset=data, eval_kwargs={})
        best = program.candidate_programs[0]["score"]
        stage.found(program, percent(float(best)), len(data), "best instruction")


class Writers:
    """Sees the instructions as they are written, so that a whole depth can be measured at once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._engine = FanOut(stage, stage.brief.models.prompt)
        self.lm: Any = stage.brief.models.prompt.copy(
            engine=self._engine, async_engine=getattr(stage.brief.models.prompt, "_async_engine_spec", None)
        )
        # DSPy asks for the last exchange in order to log it, and prints it on the way.
        self.lm.inspect_history = lambda n=1: ""  # noqa: ARG005 - called by keyword
        self._written: list[Any] = []
        self._warmed: set[tuple[int, int]] = set()
        self.moving: Any = None

    def predict(self, signature: Any, **config: Any) -> Any:
        """`dspy.Predict`, listened to."""
        import dspy

        inner = dspy.Predict(signature, **config)

        def ask(**inputs: Any) -> Any:
            self._stage.note("phase", name="propose instructions", number=config["n"])
            self._engine.begin(int(config["n"]))
            prediction = inner(**inputs)
            self._written.append(prediction.completions)
            return prediction

        return ask

    def look_ahead(self, program: dspy.Module, data: Any) -> None:
        """Begin to measure every instruction that this depth will try for the predictor at hand."""
        predictors = program.predictors()
        index = next((i for i, one in enumerate(predictors) if one is self.moving), None)
        if index is None or not self._stage.looks_ahead:
            return
        written = self._written[index] if len(predictors) > 1 else self._written[-1]
        texts, prefixes = written.proposed_instruction, written.proposed_prefix_for_output_field
        stamp = (index, len(self._written))
        if stamp in self._warmed:
            return
        self._warmed.add(stamp)
        for rank, (text, prefix) in enumerate(zip(texts, prefixes, strict=False)):
            one = rebuilt(self._stage.brief.spec, program)
            predictor: Any = one.predictors()[index]
            *_, last = predictor.signature.fields.keys()
            predictor.signature = predictor.signature.with_instructions(text.strip('"').strip()).with_updated_fields(
                last, prefix=prefix.strip('"').strip()
            )
            warm(self._stage, one, data, rank=rank)


class CandidateEvaluate(StageEvaluate):
    """The evaluator, which looks at the other instructions first."""

    def __init__(self, writers: Writers, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._writers = writers

    def __call__(self, program: dspy.Module, *args: Any, **kwargs: Any) -> Any:
        self._writers.look_ahead(program, kwargs.get("devset") or self._devset)
        return super().__call__(program, *args, **kwargs)


class FanOut(Reins):
    """Makes the n samples of one request at the same time; DSPy then asks for them one by one."""

    def __init__(self, stage: Stage, lm: Any) -> None:
        super().__init__(lm.engine, stage.check)
        self._stage = stage
        self._lm = lm
        self._samples = 1
        self._asked: set[str] = set()

    def begin(self, samples: int) -> None:
        """The next request will be asked for so often."""
        self._samples = samples
        self._asked.clear()

    def complete(self, request: Any) -> Any:
        lm = self._lm
        if self._stage.looks_ahead and hasattr(lm, "gateway") and repr(request) not in self._asked:
            self._asked.add(repr(request))
            rollout = lm.kwargs.get("rollout_id")
            for index in range(1, self._samples):
                self._stage.ahead(partial(lm.gateway.complete, lm.channel, request, rollout=rollout, index=index))
        return super().complete(request)
