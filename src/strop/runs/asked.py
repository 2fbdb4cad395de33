"""From a request of the Python guide to a task: which field is the answer, of what type, scored how, on which model."""

from __future__ import annotations

import hashlib
import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from strop.datasets import Dataset, labels_kind, load
from strop.errors import BadInput, MetricError
from strop.runs.guide import OptimizationObjective, OptimizationRequest
from strop.runs.task import TaskSpec

ANSWERS = (
    "label", "answer", "expected_output", "output", "summary", "target", "expected", "expected_answer", "ground_truth",
    "expected_response", "reference", "response", "completion", "category", "class", "sentiment", "intent",
)  # fmt: skip
"""Names of the field that holds the wanted answer, the plainest first."""

_TAKEN = frozenset(dir(BaseModel)) | {
    "fields", "instructions", "signature", "input_fields", "output_fields", "inputs", "labels", "keys", "values",
    "items", "get", "demos", "reasoning", "trace", "config", "lm", "append", "prepend", "insert", "delete", "equals",
}  # fmt: skip
_MAKERS = {
    r"gpt-|chatgpt-|o[1345](-|$)": "openai",
    r"claude-": "anthropic",
    r"gemini-": "gemini",
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The fields of some examples: field of the signature -> key of the example. `id_key` names an example."""

    inputs: Mapping[str, str]
    output: Mapping[str, str]
    signature: str
    categorical: bool = False
    id_key: str | None = None

    @property
    def renamed(self) -> dict[str, str]:
        """Fields whose key is no name that a signature can have."""
        both = {**self.inputs, **self.output}
        return {field: key for field, key in both.items() if field != key}

    def dataset(self, examples: Sequence[Mapping[str, Any]]) -> Dataset:
        """The examples, checked.

        Raises:
            DataError: one of them lacks a field or cannot be stored.
        """
        return load(
            examples, inputs=tuple(self.inputs), labels=tuple(self.output), fields=self.renamed, id_field=self.id_key
        )


def shape_of(examples: Sequence[Mapping[str, Any]]) -> Shape:
    """Which field is the answer and what types the fields have, from all `examples`; `input -> output` without any.

    The answer is the first of `ANSWERS` that is there, else the last field. A field `id` names the example. An answer
    whose few values repeat becomes a choice between them.

    Raises:
        BadInput: there are fewer than two fields.
    """
    if not examples:
        return Shape(inputs={"input": "input"}, output={"output": "output"}, signature="input -> output")
    keys = list(dict.fromkeys(str(key) for example in examples for key in example))
    id_key = "id" if "id" in keys and len(keys) > 2 else None
    fields = [key for key in keys if key != id_key]
    if len(fields) < 2:
        raise BadInput(
            f"an example needs an input and an answer, these have only {', '.join(map(repr, fields)) or 'no fields'}",
            hint='for example {"text": "Great!", "label": "positive"}',
        )
    lower = {key.lower(): key for key in reversed(fields)}
    answer = next((lower[name] for name in ANSWERS if name in lower), fields[-1])
    inputs = {field_name(key): key for key in fields if key != answer}
    output = {field_name(answer): answer}
    if len(inputs) < len(fields) - 1 or set(inputs) & set(output):
        raise BadInput(f"two of the fields {', '.join(map(repr, fields))} have the same name once it is a plain word")
    plain = Shape(inputs=inputs, output=output, signature="", id_key=id_key)
    categorical = labels_kind(plain.dataset(examples).examples) == "categorical"

    def column(key: str) -> list[Any]:
        return [example.get(key) for example in examples]

    typed = [f"{field}{_type(column(key))}" for field, key in inputs.items()]
    asked = _choice(column(answer)) if categorical else None
    ((name, _),) = output.items()
    signature = f"{', '.join(typed)} -> {name}{asked or _type(column(answer))}"
    return Shape(inputs=inputs, output=output, signature=signature, categorical=categorical, id_key=id_key)


def field_name(key: str) -> str:
    """`key` as a field of a signature: a Python name that neither DSPy nor pydantic uses itself."""
    letters = unicodedata.normalize("NFKC", key)  # as Python itself reads a name
    name = "".join(letter if f"_{letter}".isidentifier() else "_" for letter in letters).strip("_")
    if not name.isidentifier():
        name = f"field_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def task_name(target: str) -> str:
    """The name under which versions of `target` are kept; other text than a plain name gets a hash of it, so that two
    targets never share a name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", target).strip("-._")[:80]
    if plain == target:
        return plain
    return f"{plain or 'task'}-{hashlib.sha256(target.encode()).hexdigest()[:6]}"


def instructions_of(target: str, shape: Shape) -> str:
    """What the model is told to begin with: a sentence as it is, a name as the task's title."""
    words = target.strip()
    if re.search(r"\s", words):
        return words
    title = re.sub(r"[_.-]+", " ", words).strip()
    given = ", ".join(name.replace("_", " ") for name in shape.inputs)
    return f"Task: {title}. Given the {given}, produce the {next(iter(shape.output)).replace('_', ' ')}."


def full_model_name(name: str) -> str:
    """`provider/model`; the provider of a bare name where its maker is plain.

    Raises:
        BadInput: it is not.
    """
    if "/" in name:
        return name
    for pattern, provider in _MAKERS.items():
        if re.match(pattern, name, re.IGNORECASE):
            return f"{provider}/{name}"
    raise BadInput(f"model {name!r}: the provider is missing", hint="write it like openai/gpt-4o-mini")


def task_of(request: OptimizationRequest, shape: Shape, *, model: Any, prompt_model: Any) -> TaskSpec:
    """The task that `request` asks for, on these models.

    Raises:
        BadInput: a value cannot be used; the message names it.
    """
    limits = request.constraints
    budgets = [each for each in (limits.max_cost_usd, request.budget_usd) if each is not None]
    keys: dict[str, Any] = {
        "task": task_name(request.target),
        "signature": shape.signature,
        "instructions": instructions_of(request.target, shape),
        "data": "memory",
        "fields": shape.renamed,
        "metric": metric_of(request, categorical=shape.categorical),
        "models": {"task": model, "prompt": prompt_model},
        "algorithm": {**request.few_shot_config, **request.algorithm_config, "name": request.algorithm},
        "constraints": {
            "max_tokens": limits.max_tokens,
            "max_cost_usd_per_request": limits.max_cost_usd_per_request,
            "max_latency_ms": limits.max_latency_ms,
            "min_accuracy": limits.min_accuracy,
        },
        "seed": request.seed,
        # The algorithm's own number of rounds is below the guide's default of 50, which is a limit and no wish.
        "max_iterations": request.max_iterations if "max_iterations" in request.model_fields_set else None,
        "timeout_s": float(request.timeout_seconds),
    }
    if budgets:
        keys["budget_usd"] = float(min(budgets))
    try:
        return TaskSpec.model_validate(keys, strict=False)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise BadInput(f"the request cannot be used: {told}") from None


def metric_of(request: OptimizationRequest, *, categorical: bool) -> str | dict[str, Any]:
    """The declared metric with the settings that follow from the request, and beside it what the objective adds.

    Raises:
        BadInput: the objective or the metric needs a limit that the request does not give.
        MetricError: `custom`, and it is not clear which one.
    """
    declared = _declared(request, categorical)
    limits = request.constraints
    weights = {
        OptimizationObjective.MINIMIZE_COST: {"cost": 0.5},
        OptimizationObjective.MINIMIZE_LATENCY: {"latency": 0.5},
        OptimizationObjective.BALANCED: {"cost": 0.25, "latency": 0.25},
    }.get(request.objective)
    if weights is None or declared_name(request) in weights:
        return declared
    if limits.min_accuracy is not None:
        raise BadInput(
            f"min_accuracy cannot be kept with the objective {request.objective.value!r}: "
            "it would be compared with a score of which cost or latency is a part",
            hint="use maximize_accuracy with max_cost_usd_per_request or max_latency_ms as limits",
        )
    parts = [{"metric": _limited(name, request), "weight": weight} for name, weight in weights.items()]
    return {"parts": [{"metric": declared, "weight": 0.5}, *parts]}


def declared_name(request: OptimizationRequest) -> str:
    """The metric as the request names it, in lower case; of a mapping its `name`."""
    asked = request.evaluation_metric
    name = str(asked.get("name", "composite")) if isinstance(asked, Mapping) else str(asked)
    return name if ":" in name else name.strip().lower().replace("-", "_").replace(" ", "_")


def _declared(request: OptimizationRequest, categorical: bool) -> str | dict[str, Any]:
    asked, name = request.evaluation_metric, declared_name(request)
    own = [metric.name for metric in request.custom_metrics]
    if isinstance(asked, Mapping):
        return dict(asked)
    if str(asked) in own:
        return str(asked)
    if name == "custom":
        if len(own) == 1:
            return own[0]
        raise MetricError(
            f"evaluation_metric 'custom', and there are {len(own)} custom_metrics",
            hint="name the one that counts, or module:function",
        )
    if name in {"f1", "f1_score"} and categorical:
        return {"name": "f1", "average": "macro"}
    return _limited(name, request) if name in {"cost", "latency"} else str(asked)


def _limited(name: str, request: OptimizationRequest) -> dict[str, Any]:
    limits = request.constraints
    key = "max_cost_usd_per_request" if name == "cost" else "max_latency_ms"
    limit = limits.max_cost_usd_per_request if name == "cost" else limits.max_latency_ms
    if limit is None:
        raise BadInput(
            f"{name} can be judged only against a limit, and the request gives none", hint=f"set constraints.{key}"
        )
    return {"name": name, "limit": limit if name == "cost" else limit / 1000}


def _choice(values: Sequence[Any]) -> str | None:
    """The values as a Literal; None when they are not all text that a signature can hold."""
    names = sorted({value for value in values if isinstance(value, str)})
    if len(names) < 2 or any("->" in name or not name.isprintable() for name in names):
        return None
    if not all(isinstance(value, str) for value in values):
        return None
    return f": Literal[{', '.join(map(repr, names))}]"


def _type(values: Sequence[Any]) -> str:
    """`: type` when all values have one that says more than text."""
    kinds = {type(value) for value in values}
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (dict, "dict[str, Any]")):
        if kinds == {kind}:
            return f": {name}"
    if kinds == {int, float}:
        return ": float"
    if kinds == {list} and all(isinstance(item, str) for value in values for item in value):
        return ": list[str]"
    return ""
