"""Answers requests: a pure function of model, request, seed, rollout and index, safe in any number of threads."""

from collections.abc import Iterator
from dataclasses import replace

from dspy.lm15 import Message, Request, Response, Usage

from strop.embedded import chance, prompt, vectors
from strop.embedded.personality import MODELS, Personality
from strop.embedded.plan import answer_fields, read_text
from strop.embedded.prompt import Prompt
from strop.embedded.render import render
from strop.embedded.skill import Asked
from strop.embedded.words import TOKEN, count_tokens
from strop.errors import CallFailed

_WORDLESS = {name: replace(one, vector_weight=0.0) for name, one in MODELS.items()}


def answer(model: str, request: Request, *, seed: int = 0, rollout: int | None = None, index: int = 0) -> Response:
    """One answer. `rollout` and `index` (which of n samples) matter only at a temperature above 0.

    Raises CallFailed: kind not_found for an unknown model, context_window for a request longer than its window.
    """
    personality = MODELS.get(model)
    if personality is None:
        raise CallFailed(model, "not_found", f"the embedded models are {', '.join(MODELS)}")
    read = prompt.read(request)
    if read.tokens > personality.window_tokens:
        detail = f"the request has {read.tokens} tokens, the context window holds {personality.window_tokens}"
        raise CallFailed(model, "context_window", detail)
    if not vectors.available():
        personality = _WORDLESS[model]
    text = _reply(personality, read, request.config.temperature or 0.0, (seed, rollout, index))
    wanted = request.config.max_tokens or personality.max_output_tokens
    limit = min(wanted, personality.max_output_tokens)
    length = count_tokens(text)
    if length > limit:
        text = _cut(text, limit)
    return Response(
        id=None,
        model=model,
        message=Message.assistant(text),
        finish_reason="length" if length > limit else "stop",
        usage=Usage(input_tokens=read.tokens, output_tokens=min(length, limit)),
        provider_data={"offline_model": True},
    )


def stream_text(
    model: str, request: Request, *, seed: int = 0, rollout: int | None = None, index: int = 0
) -> Iterator[str]:
    """The text of the same answer in pieces of a few words; joined they are equal to it."""
    text = answer(model, request, seed=seed, rollout=rollout, index=index).text or ""
    start = 0
    while start < len(text):
        space = text.find(" ", start + 16)
        end = len(text) if space < 0 else space + 1
        yield text[start:end]
        start = end


def _reply(personality: Personality, read: Prompt, temperature: float, draw: tuple[int, int | None, int]) -> str:
    seed, rollout, index = draw
    noise = chance.stream("noise", seed, personality.name, read.digest)
    sampling = (
        chance.stream("sampling", seed, personality.name, read.digest, temperature, rollout, index)
        if temperature > 0
        else None
    )
    asked = Asked(
        inputs=read.inputs,
        text=read_text(read.inputs, read.text),
        noise=noise,
        sampling=sampling,
        temperature=temperature,
    )
    return render(read.task, answer_fields(read.task, asked, personality)) or "I cannot tell."


def _cut(text: str, tokens: int) -> str:
    """The text up to its first `tokens` tokens."""
    for count, found in enumerate(TOKEN.finditer(text)):
        if count == tokens:
            return text[: found.start()].rstrip() or text[: found.start()]
    return text
