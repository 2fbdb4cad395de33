"""From a model's config to language models behind the gateway: settings, key, sampling, the session's slots."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from strop.gateway import Account, Gateway, ModelSettings, Role
from strop.sessions.config import ModelConfig
from strop.sessions.slots import DeclaringPace, ModelLanes, Traffic

if TYPE_CHECKING:
    import dspy

PATIENCE = 1.5
"""A call may last so many times its time-out before it is taken for hung: the provider's own limit comes first."""
_numbers = itertools.count(1)
_keys_lock = threading.Lock()


def settings_of(config: ModelConfig, timeout_ms: float) -> ModelSettings:
    """The gateway's settings of a model. A key that was given is named here, never held. OpenAI's reasoning models have
    a temperature and a length of answers of their own; the usual defaults are not sent to them."""
    own = ModelSettings(model=config.full_name).reasoning_family
    return ModelSettings(
        model=config.full_name,
        api_base=config.api_base,
        api_key_env=f"STROP_SESSION_KEY_{next(_numbers)}" if config.api_key else config.api_key_env,
        temperature=None if own and "temperature" not in config.model_fields_set else config.temperature,
        max_tokens=None if own and "max_tokens" not in config.model_fields_set else config.max_tokens,
        requests_per_minute=config.requests_per_minute,
        timeout_s=timeout_ms / 1000,
        retries=config.retries,
        latency_ms=config.latency_ms,
    )


def language_model(
    gateway: Gateway,
    account: Account,
    config: ModelConfig,
    settings: ModelSettings,
    *,
    who: str,
    traffic: Traffic,
    phase: str,
    role: Role,
) -> dspy.LM:
    """The model for one account, phase and role, sharing the session's places for declared calls.

    Raises:
        PriceUnknown: nobody said what the model costs.
    """
    with _key_at_hand(config, settings):
        plain = gateway.lm(settings, account, phase=phase, role=role)
    pace = DeclaringPace(plain.channel.pace, traffic.declared, who)
    lm = type(plain)(gateway, replace(plain.channel, pace=cast(Any, pace)))
    sampling = {
        "top_p": config.top_p,
        "presence_penalty": config.presence_penalty,
        "frequency_penalty": config.frequency_penalty,
    }
    lm.kwargs.update({name: value for name, value in sampling.items() if value is not None})
    return lm


def lanes_of(traffic: Traffic, who: str, settings: ModelSettings) -> ModelLanes:
    """The limit under which a model's work is done; a call that outlasts its time-out by far is found there."""
    return ModelLanes(traffic, who, PATIENCE * settings.timeout_s + 1.0)


@contextmanager
def _key_at_hand(config: ModelConfig, settings: ModelSettings) -> Generator[None]:
    """Providers read their key from the environment when they are made; it stands there no longer than that."""
    if config.api_key is None or settings.api_key_env is None:
        yield
        return
    with _keys_lock:
        os.environ[settings.api_key_env] = config.api_key.get_secret_value()
        try:
            yield
        finally:
            del os.environ[settings.api_key_env]
