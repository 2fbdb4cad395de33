"""Seeded chance that is the same in every process, thread and Python: it hangs on bytes, never on `hash()`."""

import math
from hashlib import blake2b
from random import Random


def stream(purpose: str, *parts: bytes | str | int | float | None) -> Random:
    """A random stream for one purpose, fully determined by the parts."""
    digest = blake2b(purpose.encode(), digest_size=16)
    for part in parts:
        digest.update(b"\0" + (part if isinstance(part, bytes) else repr(part).encode()))
    return Random(int.from_bytes(digest.digest()[:8]))


def gumbel(random: Random) -> float:
    """One standard Gumbel number: adding it to log weights and taking the largest samples from the weights."""
    return -math.log(-math.log(random.random() + 1e-12) + 1e-12)
