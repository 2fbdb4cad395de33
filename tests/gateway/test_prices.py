"""Prices: exact to the picodollar, never guessed, and a worst case that no answer exceeds."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.errors import BadInput, PriceUnknown
from strop.gateway import PriceTable, TokenUse, pico, show, usd
from strop.gateway.call import canonical
from strop.gateway.prices import Price, byte_bound
from tests.support.simulated import ask

FULL = {
    "input": 3, "output": 15, "cached_input": "0.3", "cache_write": 3.75, "reasoning": 20,
    "long": {"above": 200_000, "input": 6, "output": 22.5, "cached_input": 0.6, "cache_write": 7.5},
}  # fmt: skip


class TestMoney:
    @given(st.decimals(0, 10**6, places=12))
    def test_twelve_places_are_exact(self, amount: Decimal) -> None:
        assert Fraction(pico(str(amount)), 10**12) == Fraction(amount)
        assert pico(amount) == pico(str(amount))

    def test_floats_mean_what_they_show(self) -> None:
        assert pico(0.1) == 100_000_000_000
        assert pico(0.1) + pico(0.2) == pico(0.3)

    def test_finer_amounts_are_rounded_up(self) -> None:
        assert pico("0.0000000000001") == 1
        assert pico("1.0000000000001") == 10**12 + 1

    @pytest.mark.parametrize(
        ("amount", "shown"),
        [(None, "unknown"), (0, "$0.00"), (pico("4.116"), "$4.12"), (pico("0.0021"), "$0.0021"),
         (pico("0.0000042"), "$0.0000042"), (pico(1234567), "$1,234,567.00"), (0.5, "$0.50")],
    )  # fmt: skip
    def test_amounts_are_shown_with_two_digits_that_matter(self, amount: int | float | None, shown: str) -> None:
        assert show(amount) == shown

    def test_unknown_counts_as_nothing_for_display(self) -> None:
        assert (usd(None), usd(pico("0.25"))) == (0.0, 0.25)


@st.composite
def uses(draw: st.DrawFn, most: int = 400_000) -> TokenUse:
    tokens_in, tokens_out = draw(st.integers(0, most)), draw(st.integers(0, 5000))
    cached = draw(st.integers(0, tokens_in))
    written = draw(st.integers(0, tokens_in - cached))
    reasoning = draw(st.integers(0, tokens_out))
    return TokenUse(input=tokens_in, output=tokens_out, cached=cached, cache_write=written, reasoning=reasoning)


class TestCost:
    @given(uses())
    def test_each_class_of_token_has_its_price(self, use: TokenUse) -> None:
        price = PriceTable({"m/x": FULL}).price("m/x")
        long = use.input > 200_000
        row = {**FULL, **FULL["long"]} if long else FULL  # type: ignore[dict-item]  # a mapping in a mapping
        per_million = {key: Fraction(str(row[key])) for key in ("input", "output", "cached_input", "cache_write")}
        dollars = (
            (use.input - use.cached - use.cache_write) * per_million["input"]
            + use.cached * per_million["cached_input"]
            + use.cache_write * per_million["cache_write"]
            + (use.output - use.reasoning) * per_million["output"]
            + use.reasoning * 20
        ) / 10**6
        assert price.cost(use) == dollars * 10**12

    def test_without_prices_of_their_own_all_tokens_cost_the_same(self) -> None:
        price = PriceTable({"m/x": {"input": 1, "output": 2}}).price("m/x")
        use = TokenUse(input=100, output=10, cached=40, cache_write=30, reasoning=5)
        assert price.cost(use) == 100 * 10**6 + 10 * 2 * 10**6

    def test_the_long_price_begins_above_its_limit(self) -> None:
        price = PriceTable({"m/x": FULL}).price("m/x")
        assert price.cost(TokenUse(input=200_000, output=0)) == 200_000 * 3 * 10**6
        assert price.cost(TokenUse(input=200_001, output=0)) == 200_001 * 6 * 10**6

    def test_a_provider_that_counts_more_cached_than_input_never_earns_credit(self) -> None:
        price = PriceTable({"m/x": {"input": 1, "output": 2}}).price("m/x")
        assert price.cost(TokenUse(input=10, output=0, cached=40)) >= 10 * 10**6
        assert price.cost(TokenUse(input=0, output=5, reasoning=50)) == 5 * 2 * 10**6

    def test_the_snapshot_is_the_price_in_the_users_units(self) -> None:
        told = json.loads(PriceTable({"m/x": FULL}).price("m/x").snapshot())
        assert told == {
            "dated": "own",
            "input": 3,
            "output": 15,
            "cached_input": 0.3,
            "cache_write": 3.75,
            "reasoning": 20,
        }


TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from('漢字仮名交じり文한국어ひらがなقرآنहिन्दी😀👩‍👩‍👧‍👦🏳️‍🌈\x00\x1f"\\\n \u200b﷽𝔘𓀀'),
    ),
    max_size=300,
)
PRICES = st.one_of(st.just(0), st.decimals(0, 100, places=4))


@st.composite
def any_price(draw: st.DrawFn) -> Price:
    row = {key: draw(PRICES) for key in ("input", "output")}
    row |= {key: draw(PRICES) for key in ("cached_input", "cache_write", "reasoning") if draw(st.booleans())}
    if draw(st.booleans()):
        long = {"above": draw(st.integers(1, 2000))}
        long |= {key: draw(PRICES) for key in ("input", "output", "cached_input", "cache_write") if draw(st.booleans())}
        row["long"] = long
    return PriceTable({"m/x": row}).price("m/x")


class TestWorstCase:
    @given(any_price(), TEXTS, st.integers(1, 3000), st.data())
    @settings(max_examples=200)
    def test_no_answer_costs_more(self, price: Price, text: str, limit: int, data: st.DataObject) -> None:
        body = canonical(ask(text or "-", max_tokens=limit))
        most = len((text or "-").encode()) + 64 + 16
        tokens_in = data.draw(st.integers(0, most))
        tokens_out = data.draw(st.integers(0, limit))
        cached = data.draw(st.integers(0, tokens_in))
        use = TokenUse(
            input=tokens_in,
            output=tokens_out,
            cached=cached,
            cache_write=data.draw(st.integers(0, tokens_in - cached)),
            reasoning=data.draw(st.integers(0, tokens_out)),
        )
        assert price.cost(use) <= price.worst_case(text_bytes=len(body), messages=1, output_limit=limit)

    @pytest.mark.parametrize("name", ["cl100k_base", "o200k_base", "anthropic"])
    def test_no_tokenizer_makes_more_tokens_than_the_bound(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        encode = tokenizer(name, monkeypatch)

        @given(TEXTS)
        @settings(max_examples=150, deadline=None)
        def check(text: str) -> None:
            assert encode(text) <= byte_bound(text.encode())

        check()


def tokenizer(name: str, monkeypatch: pytest.MonkeyPatch):
    """Counts tokens as a provider does, from the vocabularies that LiteLLM's package brings; nothing is fetched."""
    found = find_spec("litellm")  # importing it takes seconds
    assert found is not None
    vocabularies = Path(found.submodule_search_locations[0]) / "litellm_core_utils" / "tokenizers"  # type: ignore[index]
    if name == "anthropic":
        from tokenizers import Tokenizer

        loaded = Tokenizer.from_file(str(vocabularies / "anthropic_tokenizer.json"))
        return lambda text: len(loaded.encode(text, add_special_tokens=False).ids)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(vocabularies))
    import tiktoken

    encoding = tiktoken.get_encoding(name)
    return lambda text: len(encoding.encode(text, disallowed_special=()))


class TestTable:
    def test_every_packaged_price_can_be_read_and_is_not_free_by_mistake(self) -> None:
        table = PriceTable()
        for name in table.names():
            price = table.price(name)
            assert price.input >= 0
            assert price.output >= 0
            assert price.dated == table.dated
        free = [
            name
            for name in table.names()
            if table.price(name).worst_case(text_bytes=1, messages=1, output_limit=1) == 0
        ]
        assert all(":free" in name or name.startswith("openrouter/") for name in free), free

    def test_an_unknown_model_is_an_error_with_the_remedy(self) -> None:
        with pytest.raises(PriceUnknown, match="no price is known for model 'acme/x'") as unknown:
            PriceTable().price("acme/x")
        assert "acme/x: {input:" in (unknown.value.hint or "")
        assert "did you mean" not in (unknown.value.hint or "")
        assert set(re.findall(r"[\d.]*\d", unknown.value.hint or "")) == {"0"}  # a made-up price would be copied
        with pytest.raises(PriceUnknown):
            PriceTable().price("embedded/enormous")

    @pytest.mark.parametrize(
        ("slip", "meant"),
        [("opnai/gpt-5-mini", "openai/gpt-5-mini"), ("Embedded/large", "embedded/large"), ("my/modle", "my/model")],
    )
    def test_a_near_miss_is_told_the_name_that_is_known(self, slip: str, meant: str) -> None:
        with pytest.raises(PriceUnknown) as unknown:
            PriceTable({"my/model": {"input": 1, "output": 1}}).price(slip)
        assert (unknown.value.hint or "").startswith(f"did you mean {meant!r}? else add it to prices.yaml")

    def test_an_unknown_embedded_model_has_no_price_to_add(self) -> None:
        with pytest.raises(PriceUnknown, match="there is no embedded model 'embedded/lareg'") as unknown:
            PriceTable().price("embedded/lareg")
        assert unknown.value.hint == "there are embedded/small, embedded/medium, embedded/large"

    def test_models_that_are_old_and_still_sold_have_a_price(self) -> None:
        price = PriceTable().price("openai/gpt-4")
        assert (price.input, price.output) == (pico(30) // 10**6, pico(60) // 10**6)
        assert PriceTable().price("openai/gpt-4-turbo").output == pico(30) // 10**6

    def test_models_on_ones_own_machine_are_free(self) -> None:
        assert PriceTable().price("ollama_chat/qwen3").cost(TokenUse(input=10**6, output=10**6)) == 0

    def test_ones_own_price_goes_before_the_packages(self) -> None:
        name = PriceTable().names()[0]
        assert PriceTable({name: {"input": 77, "output": 78}}).price(name).input == 77 * 10**6

    def test_the_most_precise_name_decides_whatever_the_order(self) -> None:
        rows = {"*": 1, "acme/*": 2, "acme/big*": 3, "acme/big-2": 4, "odd/[x]*": 5}
        table = PriceTable({name: {"input": value, "output": 0} for name, value in rows.items()})
        asked = {"zeta/y": 1, "acme/small": 2, "acme/big-1": 3, "acme/big-2": 4, "odd/[x]1": 5, "odd/x": 1}
        assert {name: table.price(name).input // 10**6 for name in asked} == asked


class TestOwnFile:
    def load(self, tmp_path: Path, text: str) -> PriceTable:
        (tmp_path / "prices.yaml").write_text(text, "utf-8")
        return PriceTable.load(tmp_path / "prices.yaml")

    def test_a_file_is_read(self, tmp_path: Path) -> None:
        table = self.load(
            tmp_path, "acme/*: {input: 0.15, output: 0.6, cached_input: 0.015}\nacme/x: {input: 0, output: 0}\n"
        )
        assert table.price("acme/y") == Price(
            model="acme/y", input=150_000, output=600_000, cached_input=15_000, dated="own"
        )
        assert table.price("acme/x").input == 0
        assert table.names()[:2] == ["acme/*", "acme/x"]

    def test_json_is_yaml_and_empty_is_empty_and_no_file_is_no_file(self, tmp_path: Path) -> None:
        assert self.load(tmp_path, '{"acme/x": {"input": 1, "output": 2}}').price("acme/x").output == 2 * 10**6
        assert self.load(tmp_path, "# nothing yet\n").names() == PriceTable().names()
        assert PriceTable.load(tmp_path / "none.yaml").names() == PriceTable.load(None).names() == PriceTable().names()

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("acme/x: [1, 2]", "must map model names"),
            ("- acme/x", "must map model names"),
            ("just words", "must map model names"),
            ("acme/x:", "must map model names"),
            ("acme/x: {input: 1}", "lacks output"),
            ("acme/x: {}", "lacks input and output"),
            ("acme/x: {input: 1, output: 2, outptu: 3}", "unknown key 'outptu'"),
            ("acme/x: {input: 1, output: 2, 3: 4, null: 5}", "unknown key 3"),
            ("acme/x: {input: -1, output: 2}", "'input' of 'acme/x' must be USD per million tokens, got -1"),
            ("acme/x: {input: cheap, output: 2}", "got 'cheap'"),
            ("acme/x: {input: .nan, output: 2}", "got nan"),
            ("acme/x: {input: .inf, output: 2}", "got inf"),
            ("acme/x: {input: true, output: 2}", "got True"),
            ("acme/x: {input: [1], output: 2}", r"got \[1\]"),
            ("acme/x: {input: 1, output: 2, max_output: many}", "'max_output' of 'acme/x' must be a number of tokens"),
            ("acme/x: {input: 1, output: 2, long: 5}", "'long' of 'acme/x' must be {above: tokens"),
            ("acme/x: {input: 1, output: 2, long: {input: 5}}", "lacks above"),
            ("acme/x: {input: 1, output: 2, long: {above: 0, input: 5}}", "'long.above'"),
            ("acme/x: {input: 1, output: 2, long: {above: 10, input: x}}", "'long.input'"),
            ("acme/x: {input: 1, output: 2, long: {above: 10, reasoning: 1}}", "must be {above"),
            ("7: {input: 1, output: 2}", "7 is not a model's name"),
            ("'acme/*/x': {input: 1, output: 2}", "may end in '\\*' only"),
            ("acme/x: {input: 1, output: 2}\nacme/x: {input: 3, output: 4}", "cannot be read as YAML"),
            ("acme/x: {input: 1", "cannot be read as YAML"),
        ],
    )
    def test_what_cannot_be_used_is_said_with_the_file(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(BadInput, match=says) as refused:
            self.load(tmp_path, text)
        assert str(tmp_path / "prices.yaml") in str(refused.value)

    def test_bytes_that_are_no_text_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "prices.yaml").write_bytes(b"\xff\xfe\x00x")
        with pytest.raises(BadInput, match="cannot be read"):
            PriceTable.load(tmp_path / "prices.yaml")
