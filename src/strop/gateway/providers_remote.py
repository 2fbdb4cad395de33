"""Real providers over HTTP, through DSPy's own clients. The only file that touches DSPy's client layer."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from strop.errors import CallFailed, FailureKind
from strop.gateway.redact import Redactor, storable
from strop.gateway.settings import ModelSettings

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

# DSPy's native clients append the resource to a base that ends in the version.
_VERSIONED = {"ollama": "/v1", "ollama_chat": "/v1", "anthropic": "/v1"}
_ALTERNATIVE_KEYS = {"gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY")}
# More tokens than any model takes: a count that cannot be true, and that no ledger could add up.
_TOO_MANY_TOKENS = 1_000_000_000


def _base(settings: ModelSettings) -> str | None:
    base = settings.api_base or _base_of_environment(settings.provider)
    if not base:
        return None
    base = (base if "://" in base else f"http://{base}").rstrip("/")
    suffix = _VERSIONED.get(settings.provider)
    return base + suffix if suffix and not base.endswith(suffix) else base


def _base_of_environment(provider: str) -> str | None:
    prefix = "OLLAMA" if provider == "ollama_chat" else provider.upper()
    names = [f"{prefix}_API_BASE", f"{prefix}_BASE_URL", *(["OLLAMA_HOST"] if prefix == "OLLAMA" else [])]
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _key(settings: ModelSettings) -> str | None:
    if settings.api_key_env:
        return os.environ.get(settings.api_key_env)
    for name in _ALTERNATIVE_KEYS.get(settings.provider, ()):
        if os.environ.get(name):
            return os.environ[name]
    return None


class RemoteProvider:
    """One model of one real provider."""

    def __init__(self, settings: ModelSettings, redact: Redactor) -> None:
        # Without this DSPy and LiteLLM fetch price maps from the network at their first use.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
        import dspy
        from dspy._vendor.lm15.router import LITELLM_PROVIDER_PREFIXES

        options: dict[str, Any] = {"timeout": settings.timeout_s}
        base, key = _base(settings), _key(settings)
        if base:
            options["api_base"] = base
            if _base_of_environment(settings.provider) and settings.provider in LITELLM_PROVIDER_PREFIXES:
                # An address in the environment would send DSPy to LiteLLM, which appends other paths to it.
                options["engine"] = "lm15"
        if key:
            redact.learn(key)
            options["api_key"] = key
        elif base and settings.provider in {"ollama", "ollama_chat", "openai", "hosted_vllm"}:
            default = os.environ.get("OPENAI_API_KEY") if settings.provider == "openai" else None
            options["api_key"] = default or "none"
        self._lm = dspy.LM(settings.model, cache=False, num_retries=0, **options)
        self._model = settings.model
        self._timeout_s = settings.timeout_s
        self._redact = redact
        self.endpoint = base or settings.provider
        self._features: frozenset[str] | None = None

    @property
    def features(self) -> frozenset[str]:
        """What DSPy's tables say of the model; asked once."""
        if self._features is None:
            lm = self._lm
            flags = {
                "function_calling": lm.supports_function_calling,
                "reasoning": lm.supports_reasoning,
                "response_schema": lm.supports_response_schema,
            }
            self._features = frozenset({name for name, has in flags.items() if has} | set(lm.supported_params))
        return self._features

    def complete(self, request: Request, *, rollout: int | None, index: int) -> Response:  # noqa: ARG002 - Protocol
        try:
            return self._sound(*self._in_time(request))
        except CallFailed:
            raise
        except Exception as error:  # noqa: BLE001 - every way in which a client fails becomes one word
            raise _failure(self._model, error, self._redact) from None

    def _in_time(self, request: Request) -> tuple[Response, dict[str, Any]]:
        """Ask in a thread of its own: a provider that sends a byte now and then keeps any client waiting for ever.

        The thread has no DSPy context, so that a caller's stream does not get every piece twice.
        """
        came: list[tuple[Response, dict[str, Any]]] = []
        failed: list[Exception] = []

        def work() -> None:
            try:
                came.append(self._ask(request))
            except Exception as error:  # noqa: BLE001 - raised again by the caller
                failed.append(error)

        thread = threading.Thread(target=work, name="strop-call", daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        if failed:
            raise failed[0]
        if not came:
            raise CallFailed(self._model, "timeout", f"no answer within {self._timeout_s:g} s")
        return came[0]

    def _ask(self, request: Request) -> tuple[Response, dict[str, Any]]:
        from dspy.clients.execution import execute, prepare

        result = execute(self._lm, prepare(self._lm, None, None, {"request": request}))
        if result.responses:
            return result.responses[0], result.usage
        from dspy.lm15 import response_from_openai_chat

        return response_from_openai_chat(_plain(result.raw), model=self._model), result.usage

    def _sound(self, response: Response, totals: dict[str, Any]) -> Response:
        """The response with cached tokens within its input and reasoning within its output, and with text as text is.

        Anthropic reports the first beside the input, Gemini and xAI the second beside the output, LiteLLM neither;
        DSPy, which knows the way the call went, has added them up in `totals`.
        """
        from dspy._vendor.lm15.serde import response_from_dict, response_to_dict

        tokens_in, tokens_out = totals.get("prompt_tokens"), totals.get("completion_tokens")
        # LiteLLM passes a cut-off answer on as a whole one, with no tokens at all: not an answer, and not free.
        if not tokens_in or tokens_out is None or tokens_in + tokens_out > _TOO_MANY_TOKENS:
            raise CallFailed(self._model, "garbage", "the answer does not say how many tokens it used")
        usage = replace(
            response.usage, input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out
        )
        response = replace(response, usage=usage)
        written = json.dumps(response_to_dict(response), ensure_ascii=False)
        if _is_text(written):
            return response
        return response_from_dict(json.loads(storable(written)))


def _is_text(text: str) -> bool:
    """False for halves of surrogate pairs, which JSON can spell and no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(raw: Any) -> Any:
    return raw.model_dump() if hasattr(raw, "model_dump") else raw


def _failure(model: str, error: Exception, redact: Redactor) -> CallFailed:
    """DSPy's error as ours, without anything secret and without the original as its cause."""
    from dspy.utils import exceptions as x

    names: list[tuple[str, FailureKind]] = [
        ("ContextWindowExceededError", "context_window"),
        ("LMAuthError", "auth"),
        ("LMBillingError", "auth"),
        ("LMNotConfiguredError", "auth"),
        ("LMRateLimitError", "rate_limit"),
        ("LMUnsupportedModelError", "not_found"),
        ("LMTimeoutError", "timeout"),
        ("LMServerError", "server"),
        ("LMTransportError", "connection"),
        ("LMStreamAssemblyError", "garbage"),
        ("LMUnsupportedFeatureError", "bad_request"),
        ("LMInvalidRequestError", "bad_request"),
        ("LMConfigurationError", "bad_request"),
        ("LMProviderError", "garbage"),
    ]
    kind: FailureKind = "garbage"
    for name, meaning in names:
        if isinstance(error, getattr(x, name)):
            kind = meaning
            break
    if kind == "connection" and _named(error, {"ReadTimeout", "WriteTimeout"}):
        kind = "timeout"
    status = getattr(error, "status", None)
    if kind == "bad_request" and status == 404:
        kind = "not_found"
    if kind == "garbage" and isinstance(status, int) and status >= 500:
        kind = "server"
    first = str(error).split("\n\n", 1)[0].strip() or type(error).__name__
    retry_after = getattr(error, "retry_after", None)
    return CallFailed(model, kind, storable(redact(first))[:500], retry_after=retry_after, unsent=_never_left(error))


def _never_left(error: Exception) -> bool:
    """True when no connection was made, so that nothing can have been charged."""
    return _named(error, {"ConnectionRefusedError", "gaierror", "ConnectError", "ConnectTimeout"})


def _named(error: BaseException | None, names: set[str]) -> bool:
    """True when the error, or one that led to it, is of a class of that name (each client has its own)."""
    while error is not None:
        if names & {cls.__name__ for cls in type(error).__mro__}:
            return True
        error = error.__cause__ or error.__context__
    return False
