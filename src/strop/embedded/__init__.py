"""Small offline models that read the prompt they are given and answer from it, for trials, tests and CI."""

from strop.embedded.answer import answer, stream_text
from strop.embedded.personality import MODELS, Personality

__all__ = ["MODELS", "Personality", "answer", "stream_text"]
