"""Small offline models that read the prompt they are given and answer from it, for trials, tests and CI."""

from strop.embedded.answer import answer, stream_text
from strop.embedded.personality import MODELS, Personality
from strop.embedded.words import count_tokens

__all__ = ["MODELS", "Personality", "answer", "count_tokens", "stream_text"]
