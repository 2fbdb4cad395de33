"""What the Python guide asks with and answers with: a request, its constraints, a result, its figures."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator

from strop.metrics import CustomMetric, MetricType


class OptimizationObjective(StrEnum):
    """What the search is after."""

    MAXIMIZE_ACCURACY = "maximize_accuracy"
    """The declared metric alone decides, whatever it is."""
    MINIMIZE_COST = "minimize_cost"
    """Half the declared metric, half how far a request stays below `max_cost_usd_per_request`."""
    MINIMIZE_LATENCY = "minimize_latency"
    """Half the declared metric, half how far a request stays below `max_latency_ms`."""
    BALANCED = "balanced"
    """Half the declared metric, a quarter each for cost and latency."""
    CUSTOM = "custom"
    """The declared metric alone decides, and it is your own."""


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_assignment=True)


class OptimizationConstraints(_Asked):
    """Limits of the run (`max_cost_usd`) and of every program that may win (the others)."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of one request, input and output, on average."""
    max_cost_usd: float | None = Field(default=None, ge=0)
    """The budget: most USD that the whole optimisation may spend. No call is started that could exceed it."""
    min_accuracy: float | None = Field(default=None, ge=0, le=1)
    """Lowest score of the declared metric, 0..1, that is acceptable."""
    max_latency_ms: float | None = Field(default=None, gt=0)
    """Slowest 95th percentile of latency, in milliseconds."""
    target_model: str | None = None
    """The model that the program is for. A bare name of OpenAI, Anthropic or Google is understood."""
    max_cost_usd_per_request: float | None = Field(default=None, gt=0)
    """Most USD that one request may cost on average."""


class OptimizationRequest(_Asked):
    """What to optimise. Fields may be changed until it is handed to `OptimizationPipeline.optimize`."""

    target: str = Field(min_length=1)
    """What to optimise: a name, under which versions are kept, or a sentence that says what to do."""
    objective: OptimizationObjective = OptimizationObjective.MAXIMIZE_ACCURACY
    """What to achieve."""
    evaluation_metric: MetricType | str | dict[str, Any]
    """How to measure: a metric, the name of one of `custom_metrics`, `module:function`, or a mapping of `name` and
    settings."""
    algorithm: str = "auto"
    """How to search; `auto` chooses by the data and the budget."""
    training_examples: list[dict[str, Any]] = Field(default_factory=list)
    """Examples with any fields, of which one is the wanted answer (`label`, `answer`, `expected_output`, ...)."""
    validation_examples: list[dict[str, Any]] | None = None
    """Examples to compare candidates on. Without them a part of the training examples is set aside. The sealed test
    examples are always cut from the training examples."""
    max_iterations: int = Field(default=50, ge=1)
    """Most rounds of the search, in the algorithm's own sense of a round."""
    timeout_seconds: float = Field(default=3600, gt=0)
    """Seconds after which the search ends with the best result so far."""
    constraints: OptimizationConstraints = Field(default_factory=OptimizationConstraints)
    """What it may cost, and what a winner must satisfy."""
    algorithm_config: dict[str, Any] = Field(default_factory=dict)
    """The algorithm's own settings."""
    few_shot_config: dict[str, Any] = Field(default_factory=dict)
    """More settings of the algorithm, kept apart because few-shot algorithms are often configured by themselves."""
    custom_metrics: list[CustomMetric] = Field(default_factory=list[CustomMetric])
    """Metrics of your own, asked for by name in `evaluation_metric`."""
    enable_analytics: bool = True
    """False: `get_analytics` refuses to answer for this optimisation."""
    track_costs: bool = True
    """Costs are tracked either way, because the budget stands on them; False leaves them out of the analytics."""
    log_predictions: bool = False
    """True: `predictions` of the result holds the test examples whose score changed, with both answers."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Makes the split, the search and the embedded models repeatable."""
    model: str | dict[str, Any] | None = None
    """The model that answers, as a name or a mapping of settings; `constraints.target_model` comes first."""
    prompt_model: str | dict[str, Any] | None = None
    """The model that writes instructions."""
    budget_usd: float | None = Field(default=None, ge=0)
    """The budget under its own name; with `constraints.max_cost_usd` too the smaller one holds. Neither: 1 USD."""

    @field_validator("constraints", "algorithm_config", "few_shot_config", "custom_metrics", mode="before")
    @classmethod
    def _none_is_empty(cls, given: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if given is None else given


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class PerformanceMetrics(_Told):
    """One program, measured. What was not measured is None."""

    metric: str
    """The declared metric."""
    score: float | None
    """Its figure over the set, 0..1, higher is better; None when there was nothing to measure it on."""
    value: float | None = None
    """The same in the metric's own unit: seconds, USD, or the range of a custom metric."""
    n: int = 0
    """Examples behind the score."""
    measured_on: Literal["test", "dev", "all examples"] | None = None
    """`test` examples were sealed until the verdict; `dev` examples were seen by the search; `all examples` are those
    of a request that has too few of them for anything else."""
    cost_usd: float | None = None
    """Mean USD of one request."""
    latency_ms: float | None = None
    """Median latency of one request in milliseconds."""
    latency_p95_ms: float | None = None
    """95th percentile of the latency."""

    @computed_field
    @property
    def accuracy(self) -> float | None:
        """The score under the name that the guide uses, whatever the metric is."""
        return self.score


ResultStatus = Literal["completed", "insufficient_data", "budget_exceeded", "timeout", "cancelled"]


class OptimizationResult(_Told):
    """What an optimisation found out."""

    optimization_id: str
    """Names it in `get_analytics`, `strop runs` and `strop ledger`."""
    model_id: str
    """`name@version` of the program that `optimized_metrics` speaks of, whether its gain is proven or not."""
    baseline_metrics: PerformanceMetrics
    """The program as it was asked for."""
    optimized_metrics: PerformanceMetrics
    """The best program that was found."""
    improvement_percentage: float
    """Gain of the declared metric in percent of the baseline, positive when better. 0.0 where there was no sealed test;
    points when `improvement_is_absolute`."""
    improvement_is_absolute: bool = False
    """True: the baseline is 0, so the improvement is in points of the score."""
    optimized_prompt: str | None = None
    """Instructions and demos of the program, to read."""
    optimized_config: dict[str, Any]
    """What the program is made of: signature, instructions, demos, models, seed."""
    algorithm_used: str
    """The algorithm that searched, also when `auto` chose it."""
    iterations_completed: int
    """Candidates that the search found."""
    duration_seconds: float
    """Wall-clock time."""
    total_cost_usd: float
    """What the ledger says the optimisation cost."""
    mlflow_run_id: str | None = None
    """None: nothing is sent to MLflow."""
    verdict: str
    """IMPROVED, NO EVIDENCE, WORSE or INSUFFICIENT DATA."""
    p_value: float | None = None
    """One-sided, of the paired test on the sealed examples; None when there was none."""
    ci95: tuple[float, float] | None = None
    """95 % interval of the change of the mean score, in shares (0.05 is 5 points)."""
    status: ResultStatus
    """How it ended. `completed` means that the sealed test was made."""
    message: str
    """What it means, in plain words."""
    notes: tuple[str, ...] = ()
    """What was noticed about the data and the budget."""
    report: str | None = None
    """Path of the HTML report."""
    predictions: tuple[dict[str, Any], ...] = ()
    """See `OptimizationRequest.log_predictions`."""


class OptimizationAnalytics(_Told):
    """What an optimisation cost and how fast its task model was, from the ledger alone."""

    optimization_id: str
    """The optimisation."""
    total_cost_usd: float | None
    """USD of all calls, of every role."""
    cost_per_sample: float | None
    """Mean USD of one call of the task model; None when it was never asked, or all answers were recorded already."""
    latency_p50_ms: float | None
    """Median latency of the task model's calls."""
    latency_p95_ms: float | None
    """95th percentile of the latency of the task model's calls."""
    calls: int
    """Calls made, failed ones included; answers that were recorded already are no calls."""
