"""Who the embedded models are: the same learner with more or less to work with, at a matching list price."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Personality:
    """One embedded model. Latencies and prices are information for callers: nothing here sleeps, nothing is billed."""

    name: str
    window_tokens: int
    """A longer request is refused with `CallFailed(kind="context_window")`."""
    max_output_tokens: int
    latency_ms: float
    """Typical time to the first token."""
    latency_ms_per_token: float
    input_usd_per_million: float
    output_usd_per_million: float

    cue_words: int
    """Words per label that it takes in from an instruction; the rest is skimmed over."""
    demos_seen: int
    """Examples that it takes in, the last ones of the prompt."""
    bigrams: bool
    """Reads pairs of neighbouring words as well."""
    char_grams: bool
    """Reads pieces of words as well, so that related spellings meet."""
    vector_weight: float
    """How far it trusts the static word vectors; 0 = knows no word but those in the prompt."""
    noise: float
    """Standard deviation of its misjudgement, in the units of the evidence (natural log of odds)."""
    written_words: int
    """Words per label that it puts into an instruction which it writes."""


_PERSONALITIES = (
    Personality(
        name="embedded/small",
        window_tokens=16_384,
        max_output_tokens=1_024,
        latency_ms=40,
        latency_ms_per_token=0.5,
        input_usd_per_million=0.05,
        output_usd_per_million=0.20,
        cue_words=12,
        demos_seen=16,
        bigrams=False,
        char_grams=False,
        vector_weight=0.0,
        noise=0.5,
        written_words=5,
    ),
    Personality(
        name="embedded/medium",
        window_tokens=65_536,
        max_output_tokens=2_048,
        latency_ms=120,
        latency_ms_per_token=1.5,
        input_usd_per_million=0.40,
        output_usd_per_million=1.60,
        cue_words=24,
        demos_seen=48,
        bigrams=True,
        char_grams=False,
        vector_weight=0.5,
        noise=0.25,
        written_words=9,
    ),
    Personality(
        name="embedded/large",
        window_tokens=262_144,
        max_output_tokens=4_096,
        latency_ms=350,
        latency_ms_per_token=4,
        input_usd_per_million=3.00,
        output_usd_per_million=12.00,
        cue_words=64,
        demos_seen=256,
        bigrams=True,
        char_grams=True,
        vector_weight=1.0,
        noise=0.05,
        written_words=14,
    ),
)

MODELS: Mapping[str, Personality] = MappingProxyType({one.name: one for one in _PERSONALITIES})
