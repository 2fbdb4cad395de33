"""A session's config: every documented default, the guide's spelling, names, and keys that stay secret."""

from __future__ import annotations

import json
import os

import pytest

from strop.errors import BadInput, SettingsError
from strop.sessions import ModelConfig, ModelProvider, Signature, TrainingConfig
from strop.sessions.constraints import kept_share, parse

KEY = "sk-canary-0123456789abcdef"


def test_documented_defaults():
    config = TrainingConfig(models=[ModelConfig(provider=ModelProvider.CLAUDE, model="claude-sonnet-4", api_key="k")])
    assert (config.optimization_rounds, config.convergence_threshold, config.max_concurrency) == (5, 0.95, 4)
    assert (config.enable_cross_learning, config.enable_hooks_integration, config.cost_budget) == (True, True, None)
    assert (config.timeout_per_iteration, config.baseline_iterations, config.benchmark_samples) == (30_000, 3, 100)
    (model,) = config.models
    assert (model.temperature, model.max_tokens) == (0.7, 1000)
    assert (model.top_p, model.presence_penalty, model.frequency_penalty) == (None, None, None)
    assert [each.value for each in ModelProvider][:4] == ["claude", "gpt4", "llama", "gemini"]


def test_the_guides_own_json_is_read():
    given = {
        "models": [{"provider": "gemini", "model": "gemini-2.5-flash", "apiKey": KEY, "maxTokens": 50, "topP": 0.5}],
        "optimizationRounds": 3, "baselineIterations": 2, "benchmarkSamples": 20, "costBudget": 1.0,
        "timeoutPerIteration": 1000, "enableCrossLearning": False,
    }  # fmt: skip
    config = TrainingConfig(**given)
    assert (config.optimization_rounds, config.cost_budget, config.models[0].top_p) == (3, 1.0, 0.5)
    assert config.models[0].full_name == "gemini/gemini-2.5-flash"


@pytest.mark.parametrize(
    ("given", "provider", "full"),
    [
        ({"provider": "claude", "model": "claude-sonnet-4"}, "claude", "anthropic/claude-sonnet-4-5"),
        ({"provider": "claude", "model": "claude-opus-5"}, "claude", "anthropic/claude-opus-5"),
        ({"provider": "gpt4", "model": "gpt-4-turbo"}, "gpt4", "openai/gpt-4.1"),
        ({"model": "anthropic/claude-opus-5"}, "claude", "anthropic/claude-opus-5"),
        ("embedded/small", "embedded", "embedded/small"),
        ("groq/llama-3.3-70b-versatile", "other", "groq/llama-3.3-70b-versatile"),
    ],
)
def test_any_model_by_provider_or_by_full_name(given, provider, full):
    (model,) = TrainingConfig(models=[given]).models
    assert (model.provider, model.full_name) == (provider, full)


def test_several_models_of_one_provider_have_names_of_their_own():
    config = TrainingConfig(models=["embedded/small", "embedded/small", {"model": "embedded/large", "name": "big"}])
    assert config.names == ("small", "small#2", "big")


@pytest.mark.parametrize(
    "bad",
    [
        {"models": []}, {"models": ["embedded/small"], "rounds": 3}, {"models": ["embedded/small"], "costBudget": -1},
        {"models": [{"model": "embedded/small", "name": "x"}, {"model": "embedded/large", "name": "x"}]},
        {"models": [{"model": "openai/gpt-4o", "latency_ms": 5}]},
        {"models": [{"model": "embedded/small", "apiKey": KEY, "temperature": 9}]},
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_plain_words(bad):
    with pytest.raises(SettingsError) as caught:
        TrainingConfig(**bad)
    assert KEY not in str(caught.value)
    assert "validation error" not in str(caught.value)


def test_a_model_without_a_provider_is_refused():
    with pytest.raises(BadInput, match="provider is missing"):
        ModelConfig(model="mystery")


def test_keys_are_never_shown_or_stored():
    config = TrainingConfig(models=[ModelConfig(model="openai/gpt-4o", api_key=KEY)])
    for text in (repr(config), json.dumps(config.stored()), config.model_dump_json(), str(config.models[0])):
        assert KEY not in text
    again = TrainingConfig(**config.stored())
    assert again.models[0].model == "openai/gpt-4o"
    assert again.models[0].api_key is None


def test_a_stored_config_is_read_back():
    config = TrainingConfig(models=["embedded/small"], hooks="claude-flow", algorithm={"name": "copro", "breadth": 3})
    assert TrainingConfig(**json.loads(json.dumps(config.stored()))) == config


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("contains:Call", "please CALL us", "write us"),
        ("min_length:5", "abcde", "abcd"),
        ("max_length:5", "abcde", "abcdef"),
        (r"regex:^\d+$", "42", "42 apples"),
        ("one_of:yes|no", " yes ", "maybe"),
        ('json_schema:{"type": "object", "required": ["a"]}', '{"a": 1}', "{}"),
    ],
)
def test_the_constraint_grammar(rule, good, bad):
    parsed = parse([rule])
    assert (kept_share(parsed, good), kept_share(parsed, bad)) == (1.0, 0.0)


@pytest.mark.parametrize("rule", ["be nice", "min_length:many", "regex:(", "json_schema:{", "contains:", "tone:formal"])
def test_an_unknown_constraint_is_an_error(rule):
    with pytest.raises(SettingsError):
        parse([rule])


def test_a_signature_reads_the_guides_examples():
    signature = Signature(input="a", output="b", examples=[{"input": "x", "output": "y"}], constraints=["min_length:1"])
    assert signature.examples[0].output == "y"


def test_a_given_key_is_in_the_environment_only_while_the_provider_is_made():
    from strop.gateway import Account, Gateway, Redactor
    from strop.sessions.models import language_model, settings_of
    from strop.sessions.slots import Traffic
    from strop.store import Store

    config = ModelConfig(provider=ModelProvider.GPT4, model="gpt-4o", api_key=KEY, top_p=0.5, presence_penalty=0.1)
    settings = settings_of(config, 30_000)
    redact = Redactor()
    with Store.open(":memory:") as store:
        gateway = Gateway(store, redact=redact)
        lm = language_model(
            gateway, Account(scope="session:t:0"), config, settings, who="a", traffic=Traffic(2), phase="baseline",
            role="task",
        )  # fmt: skip
        gateway.close()
    assert (lm.kwargs["top_p"], lm.kwargs["presence_penalty"], lm.kwargs["temperature"]) == (0.5, 0.1, 0.7)
    assert settings.timeout_s == 30
    assert KEY not in repr(settings)
    assert KEY not in os.environ.values()
    assert KEY not in redact(f"an error that shows {KEY} plainly")


def test_a_reasoning_model_gets_neither_our_temperature_nor_our_limit_of_tokens():
    from strop.gateway import Account, Gateway
    from strop.sessions.models import language_model, settings_of
    from strop.sessions.slots import Traffic
    from strop.store import Store

    def sent(**given):
        config = ModelConfig(api_key=KEY, **given)
        with Store.open(":memory:") as store:
            gateway = Gateway(store)
            lm = language_model(
                gateway, Account(scope="session:t:0"), config, settings_of(config, 30_000), who="a",
                traffic=Traffic(2), phase="baseline", role="task",
            )  # fmt: skip
            gateway.close()
        return lm.kwargs.get("temperature"), lm.kwargs.get("max_tokens")

    assert 0.7 not in sent(model="openai/gpt-5-mini")
    assert 1000 not in sent(model="openai/gpt-5-mini")
    assert sent(model="openai/gpt-5-mini", temperature=1.0, max_tokens=20_000)[0] == 1.0
    assert settings_of(ModelConfig(model="openai/gpt-5-mini"), 1).max_tokens is None
    assert settings_of(ModelConfig(model="openai/gpt-5-mini", max_tokens=20_000), 1).max_tokens == 20_000
    assert sent(model="openai/gpt-4.1") == (0.7, 1000)
