"""How many tokens a text has, before a provider has counted them."""

BYTES_PER_TOKEN = 4
"""English prose and DSPy's markers: 3.9 with OpenAI's o200k tokens."""


def estimated_tokens(model: str, text: str) -> int:
    """Tokens of a text: the embedded models' own count, for every other model one for each four bytes."""
    if model.startswith("embedded/"):
        from strop.embedded import count_tokens

        return count_tokens(text)
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
