"""What the provider server says when a test gives no answering function: the embedded models, behind the wire."""

from typing import Any

from tests.support.faults import Fault
from tests.support.provider_wire import Answer, Messages


def embedded_answer(messages: Messages, model: str, params: dict[str, Any]) -> Answer | Fault:
    """Ask `embedded/small`, or `embedded/<size>` when the wire's model name says medium or large.

    A pure function of what was asked: the same request gets the same answer, in any process and at any time.
    """
    from dspy import lm15

    from strop import embedded

    size = next((size for size in ("medium", "large") if size in model), "small")
    try:
        response = embedded.answer(f"embedded/{size}", request_of(messages, model, params), index=params["index"])
    except lm15.ContextLengthError:
        return Fault("context")
    usage = response.usage
    return Answer(
        text=response.text or "",
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        finish="length" if response.finish_reason == "length" else "stop",
    )


def request_of(messages: Messages, model: str, params: dict[str, Any]) -> Any:
    """The canonical `dspy.lm15.Request` that a client must have held before it wrote its dialect."""
    from dspy.lm15 import Config, Message, Request

    stop = params.get("stop") or ()
    return Request(
        model=model,
        messages=tuple(
            Message.assistant(text) if role == "assistant" else Message.user(text)
            for role, text in messages
            if role != "system"
        ),
        system="\n\n".join(text for role, text in messages if role == "system") or None,
        config=Config(
            max_tokens=params.get("max_tokens"),
            temperature=params.get("temperature"),
            seed=params.get("seed"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
        ),
    )


def echo(messages: Messages, model: str, params: dict[str, Any]) -> str:
    """The last message's text, given back."""
    return messages[-1][1]
