"""Secrets leave no trace in what is stored, and what is no secret stays as it was written."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strop.gateway import Redactor
from strop.gateway.redact import REDACTED, storable

TAIL = "Q7x2Zp9Lk4Vb8Nm3Rt6Ws1Yc5Jd0HgFa"
SHAPED = {
    "openai": f"sk-{TAIL}",
    "openai project": f"sk-proj-{TAIL}-{TAIL}_x",
    "anthropic": f"sk-ant-api03-{TAIL}-AA",
    "google": f"AIza{TAIL}",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": f"ghp_{TAIL}",
    "github fine": f"github_pat_{TAIL}",
    "slack": "xoxb-123456789012-abcdefABCDEF",
    "groq": f"gsk_{TAIL}",
    "xai": f"xai-{TAIL}",
    "hugging face": f"hf_{TAIL.replace('0', 'o')}",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{TAIL}",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


class TestShapes:
    @pytest.mark.parametrize("kind", SHAPED)
    @pytest.mark.parametrize(
        "frame", ["{}", "key={}&x=1", '{{"key": "{}"}}', "the key is {}, or was", "({})", "a\n{}\nb"]
    )
    def test_a_key_of_any_maker_is_taken_out_of_any_place(self, kind: str, frame: str) -> None:
        text = Redactor()(frame.format(SHAPED[kind]))
        assert text == frame.format(REDACTED)

    @pytest.mark.parametrize(
        ("text", "clean"),
        [
            ("postgresql://strop:s3cret!pw@db.internal/x", f"postgresql://{REDACTED}@db.internal/x"),
            ("redis://:s3cretpw@10.0.0.1:6379", f"redis://{REDACTED}@10.0.0.1:6379"),
            ("Authorization: Bearer abcdef0123456789==", f"Authorization: Bearer {REDACTED}"),
            ('{"authorization": "BEARER abcdef0123456789"}', f'{{"authorization": "BEARER {REDACTED}"}}'),
            ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\nabc\n-----END PRIVATE KEY-----\nafter", f"{REDACTED}\nafter"),
            ("cut -----BEGIN RSA PRIVATE KEY-----\nMIIEvQ", f"cut {REDACTED}"),
        ],
    )
    def test_keys_in_addresses_headers_and_files(self, text: str, clean: str) -> None:
        assert Redactor()(text) == clean

    @pytest.mark.parametrize(
        "text",
        [
            "pip install sk-learn-compatible-estimators-collection",
            "a standard-bearer of the party; a bearer certificates register; the ring bearer stood",
            "See https://example.org:8080/path?x=1 and write to me@example.org about http://[::1]:80/",
            "risk-assessment-and-mitigation-2024, task-abcdefghijklmnop1234",
            "import hf_hub_download, xai-explainability, gsk_pharma; ghp_ is GitHub's prefix",
            "first https://a.example/b: then c@d.example",
            "eyJ is how a JSON token begins. AIza, AKIA, xox, sk-, Bearer",
            '漢字 😀 ﷽ \x00 \\ "quoted"',
        ],
    )
    def test_ordinary_text_stays(self, text: str) -> None:
        assert Redactor()(text) == text

    def test_taking_out_twice_changes_nothing_more(self) -> None:
        once = Redactor()(" ".join(SHAPED.values()))
        assert Redactor()(once) == once


class TestKnown:
    @given(st.text(min_size=8, max_size=60), st.text(max_size=40), st.text(max_size=40))
    @example('quo"te\\back/slash', "a", "b")
    @example("ключ-и-пароль", "", "")
    def test_a_known_secret_is_in_no_form_of_the_text(self, secret: str, before: str, after: str) -> None:
        redact = Redactor([secret])
        text = before + secret + after
        for form, shown in [
            (text, secret),
            (json.dumps({"t": text}), json.dumps(secret)[1:-1]),
            (json.dumps({"t": text}, ensure_ascii=False), json.dumps(secret, ensure_ascii=False)[1:-1]),
            (f"https://x/?key={quote(secret)}", quote(secret)),
        ]:
            assert shown not in redact(form) or shown in REDACTED

    def test_what_the_environment_calls_secret_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = [
            "ACME_API_KEY",
            "acme_apikey",
            "HF_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "DB_PASSWORD",
            "PGPASSWD",
            "X_CREDENTIALS",
        ]
        for number, name in enumerate(names):
            monkeypatch.setenv(name, f"canary{number}-value")
        monkeypatch.setenv("ACME_URL", "canary-not-secret")
        text = Redactor()(" ".join(f"canary{number}-value" for number in range(len(names))) + " canary-not-secret")
        assert text == " ".join([REDACTED] * len(names)) + " canary-not-secret"

    @pytest.mark.parametrize(
        "value", ["postgres", "password", "Positive", "disabled", "16384000", "/run/secrets/token", "~/.key-file"]
    )
    def test_words_numbers_and_paths_are_no_secrets(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        # POSTGRES_PASSWORD=postgres would otherwise change every recorded answer that names the database.
        monkeypatch.setenv("SOME_TOKEN", value)
        assert Redactor()(f"about {value}.") == f"about {value}."

    def test_a_secret_within_another_leaves_nothing_of_the_longer(self) -> None:
        assert Redactor(["abcdefgh", "abcdefgh-ijkl"])("abcdefgh-ijkl abcdefgh") == f"{REDACTED} {REDACTED}"

    def test_a_key_learned_later_is_known_from_then_on(self) -> None:
        redact = Redactor()
        assert redact("plainkeyvalue") == "plainkeyvalue"
        redact.learn("plainkeyvalue", "short")
        assert redact("plainkeyvalue short") == f"{REDACTED} short"


def test_storable_text_can_be_encoded_and_has_no_nul() -> None:
    assert storable("a\ud83db\x00c") == "a?bc"
    assert storable("漢字 😀") == "漢字 😀"


def test_a_long_prompt_costs_little() -> None:
    # Ten times what was measured: only a pattern that backtracks would need it.
    redact = Redactor(["canary-0123456789"])
    nasty = [
        "the height of might " * 5000,
        "https://" * 12_000,
        "://a:" * 20_000,
        "bearer " * 14_000,
        "eyJ" * 33_000,
        "sk-" + "a" * 100_000,
        "-----BEGIN " * 9000,
    ]
    for text in nasty:
        before = time.process_time()
        redact(text)
        assert time.process_time() - before < 0.5, text[:20]
