"""What can be said about one model: its name, where it is, how it samples, how fast it may be asked."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ModelSettings(BaseModel):
    """One model as the user names it. A plain string in a task file stands for `model` alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str = Field(min_length=3, pattern=r"^[^\s/]+/\S+$")
    """Provider and model, such as `openai/gpt-4o-mini`, `anthropic/claude-sonnet-4-5`, `ollama_chat/qwen3` or
    `embedded/small`."""
    api_base: str | None = None
    """Address of the endpoint, when it is not the provider's own."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable that holds the key, when it is not the provider's usual one. Never the key itself."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; unset leaves the model's own default (0 for embedded models)."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most output tokens of one answer; with the price it bounds what one call can cost. Unset: 1000, or 16000 for
    reasoning models."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Most calls started in any minute."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Most tokens (input and worst-case output) started in any minute."""
    concurrency: int | None = Field(default=None, ge=1, le=1024)
    """Most calls in flight to this model; unset leaves the run's own limit."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds that one attempt may take."""
    retries: int = Field(default=3, ge=0, le=20)
    """Further attempts after a transient failure (rate limit, server error, time-out, broken answer)."""
    latency_ms: float = Field(default=0, ge=0, le=60_000)
    """Embedded models only: milliseconds that a call sleeps, to try out concurrency."""

    @model_validator(mode="after")
    def _latency_is_for_embedded(self) -> Self:
        if self.latency_ms and not self.embedded:
            raise ValueError("latency_ms is for embedded models; a real model has its own latency")
        return self

    @property
    def provider(self) -> str:
        """The part before the first slash."""
        return self.model.split("/", 1)[0]

    @property
    def embedded(self) -> bool:
        """True for the offline models of this package: priced for practice, never billed."""
        return self.provider == "embedded"

    @property
    def reasoning_family(self) -> bool:
        """True for OpenAI's reasoning models, which DSPy samples only at temperature 1, with 16 000 tokens or more."""
        name = self.model.rsplit("/", 1)[-1].lower()
        return bool(re.match(r"^(o[1345](-(mini|nano|pro))?(-\d{4}-\d{2}-\d{2})?|gpt-5(\.\d+)*(?!-chat)(-.*)?)$", name))

    @property
    def output_limit(self) -> int:
        """Tokens that one answer may have at most."""
        return self.max_tokens or (16_000 if self.reasoning_family else 1_000)

    @property
    def sampling_temperature(self) -> float | None:
        """Temperature sent with a call that does not name its own."""
        if self.temperature is None and self.embedded:
            return 0.0
        return self.temperature

    @classmethod
    def of(cls, value: str | dict[str, Any] | ModelSettings) -> ModelSettings:
        """Accept a model's name, a mapping, or settings."""
        if isinstance(value, ModelSettings):
            return value
        return cls(model=value) if isinstance(value, str) else cls(**value)
