"""Does the exported text work as the program does? It is run as plain chat messages on the dev examples."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from strop.datasets import Example
from strop.errors import BadInput
from strop.evaluation import evaluate
from strop.exporters import AgentPrompt, Field, body, heading, label, text_of
from strop.gateway import Account, Gateway, ModelSettings
from strop.metrics import Metric
from strop.programs import ProgramSpec, restore

if TYPE_CHECKING:
    import dspy

TOLERANCE = 0.05
"""Points (of 1) that the exported text may lose against the program before it is refused."""
_SEEN_FROM_THE_TEXT = {"IMPROVED": "WORSE", "WORSE": "IMPROVED"}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Both on the same examples. Scores in 0..1; `change` is exported minus program, `ci95` its interval.

    `verdict` is the paired look at it (see `stats.judge_paired`): WORSE is a loss beyond chance, with `p_value`
    one-sided for a loss (for a gain when it is IMPROVED). It informs; what refuses is the tolerance. `unanswered`
    counts examples to which the exported text gave no answer that could be read.
    """

    examples: int
    program: float
    exported: float
    change: float
    ci95: tuple[float, float]
    p_value: float
    verdict: str
    tolerance: float
    unanswered: int
    model: str

    @property
    def passes(self) -> bool:
        """Whether the exported text loses no more than the tolerance."""
        return self.change >= -self.tolerance - 1e-9

    def told(self) -> str:
        """The finding as one sentence."""
        scores = f"the exported text scores {self.exported:.1%} where the program scores {self.program:.1%}"
        look = f"{self.examples} dev examples on {self.model}, paired look: {self.verdict}, p = {self.p_value:.3g}"
        if self.passes:
            return f"{scores} ({look})"
        return f"{scores}, more than the tolerance of {self.tolerance:.1%} below it ({look})"

    def data(self) -> dict[str, Any]:
        """Plain JSON for the side file."""
        return {**asdict(self), "ci95": list(self.ci95), "passes": self.passes}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the two are measured with. The dev examples only: the sealed test set is none of this check's business."""

    examples: Sequence[Example]
    metric: Metric
    gateway: Gateway
    account: Account
    model: ModelSettings
    concurrency: int = 16


def check_parity(
    prompt: AgentPrompt,
    spec: ProgramSpec,
    state: Mapping[str, Any],
    trial: Trial,
    *,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Measure the program and its exported text (system: the text, user: the task as a person would write it).

    The program's answers are in the ledger since its run, so only those of the exported text are paid for.

    Raises:
        BadInput: there are no examples, or the program has more than one step, which no single text can stand for.
        RunStopped: the gateway stopped the account (budget, provider).
    """
    from strop.stats import judge_paired

    if not trial.examples:
        raise BadInput("parity cannot be checked without dev examples", hint="install with --no-parity")
    if len(prompt.stages) != 1:
        raise BadInput(
            f"the program has {len(prompt.stages)} steps and the exported text is one prompt: they cannot be compared "
            "call by call",
            hint="install with --no-parity",
        )
    if not 0 <= tolerance <= 1:
        raise BadInput(f"the tolerance lies in 0..1, got {tolerance!r}")
    lm = trial.gateway.lm(trial.model, trial.account, phase="parity", role="task")
    programs: tuple[Any, Any] = (restore(spec, state), _as_chat(prompt, restore(spec, state)))
    own, plain = (
        evaluate(program, trial.examples, trial.metric, lm, concurrency=trial.concurrency, switch=trial.account.switch)
        for program in programs
    )
    groups = [example.group or example.id for example in trial.examples]
    # The question is whether the text loses, so the program stands where a gain would be looked for.
    found = judge_paired(plain.scores, own.scores, clusters=groups if len(set(groups)) < len(groups) else None)
    low, high = found.ci95
    return Parity(
        examples=len(own.rows),
        program=own.mean,
        exported=plain.mean,
        change=plain.mean - own.mean,
        ci95=(0.0 - high, 0.0 - low),
        p_value=found.p_value,
        verdict=_SEEN_FROM_THE_TEXT.get(found.verdict, found.verdict),
        tolerance=tolerance,
        unanswered=len(plain.errors),
        model=trial.model.model,
    )


def written(inputs: Mapping[str, Any], fields: tuple[Field, ...], outputs: tuple[Field, ...]) -> str:
    """The task as a person would write it: one input as it is, several under their names.

    Where an answer has several parts, a last line asks for them by name, as DSPy does: without it the comparison would
    measure the guessing of a layout.
    """
    present = [one.name for one in fields if inputs.get(one.name) is not None]
    if len(fields) == 1:
        parts = [text_of(inputs[name]) for name in present]
    else:
        parts = [f"{heading(name)}:\n{text_of(inputs[name])}" for name in present]
    if len(outputs) > 1:
        names = ", ".join(f"**{heading(one.name)}:**" for one in outputs)
        parts.append(f"Answer in these parts, each after its name: {names}")
    return "\n\n".join(parts)


def read_answer(text: str, outputs: tuple[Field, ...]) -> dict[str, str]:
    """The parts of a plain answer by field. Names are found in bold, as headings, or before a colon; JSON is taken too.

    Raises:
        ValueError: a part is missing.
    """
    names = {_plain(label(one.name, outputs, given=False)): one.name for one in outputs}
    names |= {_plain(one.name): one.name for one in outputs}
    found = _from_json(text, names) or _from_labels(text, names)
    if len(outputs) == 1:
        return {outputs[0].name: found.get(outputs[0].name, text.strip())}
    missing = [one.name for one in outputs if one.name not in found]
    if missing:
        raise ValueError(f"the answer has no part {heading(missing[0])!r}")
    return found


def _as_chat(prompt: AgentPrompt, program: dspy.Module) -> Any:
    """The exported text as something that `evaluate` can run."""
    import dspy
    from dspy.adapters.utils import parse_value

    (stage,) = prompt.stages
    ((_, predictor),) = program.named_predictors()
    signature: Any = predictor.signature
    system = body(prompt).strip()

    class PlainChat(dspy.Module):
        def forward(self, **inputs: Any) -> dspy.Prediction:
            user = written(inputs, stage.inputs, stage.outputs)
            messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            (answer,) = dspy.settings.lm(messages=messages)
            text = answer if isinstance(answer, str) else str(answer.get("text") or "")
            parts = read_answer(text, stage.outputs)
            kinds = signature.output_fields
            return dspy.Prediction(**{name: parse_value(part, kinds[name].annotation) for name, part in parts.items()})

    return PlainChat()


_WORDS = r"([A-Za-z]\w*(?: \w+){0,5})"
_LABEL = re.compile(
    rf"^[ \t]*(?:#{{1,6}} +{_WORDS}:?[ \t]*$|\[\[ ## {_WORDS} ## \]\]|\*\*{_WORDS}:?\*\*:?|{_WORDS}:)[ \t]*",
    re.MULTILINE,
)
_FENCED = re.compile(r"\A`{3,}\w*\n(.*?)\n?`{3,}\Z", re.DOTALL)


def _from_labels(text: str, names: Mapping[str, str]) -> dict[str, str]:
    starts: dict[str, tuple[int, int]] = {}
    for found in _LABEL.finditer(text):
        name = names.get(_plain(str(found[found.lastindex or 0])))
        if name is not None:
            starts.setdefault(name, found.span())
    order = sorted(starts.items(), key=lambda item: item[1])
    ends = [*(span[0] for _, span in order), len(text)][1:]
    return {name: _bare(text[span[1] : end]) for (name, span), end in zip(order, ends, strict=True)}


def _from_json(text: str, names: Mapping[str, str]) -> dict[str, str]:
    try:
        found: object = json.loads(_bare(text))
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    known = {names[_plain(str(key))]: value for key, value in found.items() if _plain(str(key)) in names}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in known.items()
    }


def _bare(text: str) -> str:
    fenced = _FENCED.match(text.strip())
    return fenced[1] if fenced else text.strip()


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()
