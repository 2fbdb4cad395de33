"""No secret of any kind reaches the database, a report or a sample."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.agents import AgentArchive, Redaction, Refusal, Step
from strop.errors import SettingsError
from strop.gateway import Redactor
from strop.store import Store
from tests.agents.turns import transcript, turn

# name: (the text around, the secret in it)
CANARIES = {
    "openai": ("key is {} ok", "sk-proj-Zq1Xw2Ec3Rv4Tb5Yn6Um7"),
    "anthropic": ("{}", "sk-ant-api03-Kd83hfLs02kfPq9wMx"),
    "aws id": ("id {}", "AKIAQ3EXAMPLE7CANARY"),
    "aws secret": ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARYKEY"),
    "github": ("https://x:{}@github.com/a/b", "ghp_cAnArY0123456789abcdefABCDEF012345"),
    "slack": ("{}", "xoxb-123456789012-CanarySlackToken"),
    "google": ("{}", "AIzaSyCanary0123456789abcdefghijklmnopq"),
    "jwt": ("token {}", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"),
    "bearer": ("curl -H 'Authorization: Bearer {}' x", "canaryBearer0123456789"),
    "basic": ("Authorization: Basic {}", "Y2FuYXJ5OmJhc2ljcGFzcw=="),
    "cookie": ("Cookie: session={}\n", "canarycookie99887766"),
    "password": ('"password": "{}"', "correct horse canary"),
    "env line": ("export DB_PASSWORD={}\n", "canarypassword"),
    "escaped json": (r"{{\"api_key\": \"{}\"}}", "canary0apikey1value2"),
    "url": ("postgres://shop:{}@db/shop", "canaryDbPass1"),
    "option": ("mysql --password {} shop", "canaryMysqlPass"),
    "private key": (
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNzaCanaryKeyBody0001",
    ),
    "cut private key": ("{}\n-----END RSA PRIVATE KEY-----", "MIIEowIBAAKCAQEACanaryTailOfAKey00"),
    "stripe": ("{}", "sk_live_canary0123456789"),
    "npm": ("//registry/:_authToken={}", "npm_canary0123456789ABCDEFabcdef012345"),
    "e-mail": ("mail {} about it", "canary.person@example.com"),
    "linux home": ("cat /home/{}/notes.txt", "canaryhomeuser"),
    "mac home": ("open /Users/{}/notes.txt", "canarymacuser"),
    "windows home": (r"type C:\Users\{}\notes.txt", "canarywinuser"),
    "claude project": ("/x/projects/-home-{}-shop/a.jsonl", "canaryprojuser"),
    "listed word": ("for {} only", "Canary Corporation"),
    "listed pattern": ("customer {}", "cust-998877"),
    "environment": ("it says {}", "zzEnvCanary-42424242"),
}  # fmt: skip
LISTED = ["canary corporation", r"/cust-\d+/"]


def redaction() -> Redaction:
    return Redaction(LISTED, environment={"CANARY_API_KEY": "zzEnvCanary-42424242", "HOME_TOKEN": "short"})


@pytest.mark.parametrize("name", CANARIES)
def test_each_kind_of_secret_is_taken_out(name):
    around, secret = CANARIES[name]
    for before, after in (("", ""), ("x = 1\n" * 500, "\nthe end"), ("Größe ✓ 中文\n" * 50, " ünd")):
        text = before + around.format(secret) + after
        clean = redaction().text(text)
        assert secret not in clean
        assert clean.startswith(before)
        assert clean.endswith(after)
        assert redaction().text(clean) == clean


def test_no_canary_survives_in_the_database(tmp_path: Path):
    """Everywhere a log can hold a text: tasks, answers, arguments, keys, results, errors, paths, extras, prompts."""
    step = [
        Step(
            tool="bash", arguments={"command": text, text: [{"deep": text}]}, result=text, status="ok", exit_code=0,
            extra={"raw": text},
        )
        for text in (around.format(secret) for around, secret in CANARIES.values())
    ]  # fmt: skip
    everything = "\n\n".join(around.format(secret) for around, secret in CANARIES.values())
    full = turn(
        f"task {everything}", *step, answer=everything, error=everything, context={"a": everything},
        extra={"b": {everything: 1}},
    )  # fmt: skip
    whole = transcript(
        full, turn("still fails"), title=everything, directory="/home/canaryhomeuser/shop", system_prompt=everything,
        source="/home/canaryhomeuser/a.jsonl", extra={"c": everything},
    )  # fmt: skip
    redact = redaction()
    with Store.open(tmp_path / "strop.db") as store:
        archive = AgentArchive(store)
        archive.add(redact.transcript(whole))
        refusal = Refusal(source=redact.text("/home/canaryhomeuser/b"), reason=redact.text(everything))
        archive.add_all([], also=lambda connection: archive.note_refusals(connection, "p", [refusal], first=True))
        (example, _) = archive.examples()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for name, (_, secret) in CANARIES.items():
        for form in {secret, secret.replace("\\", "\\\\")}:
            assert form.encode() not in stored, name
    assert example.project == "~/shop"
    assert len(example.steps) == len(CANARIES)


def test_counts_by_kind_and_masked_samples():
    redact = redaction()
    for around, secret in CANARIES.values():
        redact.text(around.format(secret))
    assert set(redact.counts) == {
        "listed", "environment", "private key", "key", "jwt", "url password", "header", "assigned value", "e-mail",
        "home path",
    }  # fmt: skip
    assert redact.counts["e-mail"] == 1
    shown = " ".join(sample.masked for sample in redact.samples)
    assert not any(secret in shown for _, secret in CANARIES.values())
    assert all("characters" in sample.masked for sample in redact.samples)


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=128000 input_tokens: 100",
        "password = getpass()",
        "def check(password: str, token: str) -> bool:",
        "token = settings.token",
        "token: ${TOKEN}",
        "tokenizer=gpt2-large-v2",
        "pip install react@18.2.0 @types/node@1.2.3 foo@bar.py",
        "git clone git@github.com:a/b.git",
        "@@ -1,2 +3,4 @@",
        "@app.route('/x')",
        "https://example.com/home/page",
        "the sk-learn-compatible-models and task-oriented work",
        "for key, value in keys: print(key)",
        "a bearer certificates list",
    ],
)
def test_ordinary_text_stays(text):
    assert Redaction(environment={}).text(text) == text


@given(st.sampled_from(sorted(CANARIES)), st.text(max_size=30), st.text(max_size=30))
def test_what_the_gateway_takes_out_is_taken_out_here(name, before, after):
    secret = CANARIES[name][1]
    text = f"{before} {CANARIES[name][0].format(secret)} {after}"
    if secret not in Redactor()(text):
        assert secret not in redaction().text(text)


def test_a_listed_pattern_may_be_anchored_to_a_whole_text():
    clean = Redaction(["/^cust$/"], environment={}).transcript(transcript(turn("cust"), turn("a cust b")))
    assert [each.task for each in clean.turns] == ["[redacted listed]", "a cust b"]


def test_a_deep_value_ends_in_a_note():
    value = "x"
    for _ in range(300):
        value = [value]
    clean = Redaction(environment={}).json(value)
    assert "nested too deeply" in str(clean)


@pytest.mark.parametrize("bad", ["/(/", "/x*/"])
def test_a_pattern_that_cannot_be_used_is_refused(bad):
    with pytest.raises(SettingsError):
        Redaction([bad])


@pytest.mark.parametrize(
    "piece",
    ["eyJ", "sk-", "@", "a@b.", "password", "password=\\", "key=", "://", "-----BEGIN PRIVATE KEY-----", "Aa0/+=" * 10,
     "/home/", "cookie: a=", "bearer ", ":\\users\\", "token is ", "-----END PRIVATE KEY-----\n", "authorization:"],
)  # fmt: skip
def test_a_hostile_text_is_redacted_in_no_time(piece):
    text = piece * (100_000 // len(piece)) + "-----END PRIVATE KEY-----"
    begun = time.process_time()
    Redaction(environment={}).text(text)
    assert time.process_time() - begun < 4


def test_what_holds_nothing_private_stays_the_same_object():
    quiet = turn("t", Step(tool="read", arguments={"path": "a.py"}, result="x = 1", status="ok"), answer="done")
    loud = turn("t", Step(tool="read", arguments={"a": [{"b": "/home/bob/x"}]}, result="y"), quiet.steps[0])
    redact = Redaction(environment={})
    unchanged, changed = transcript(quiet, directory="/srv/shop"), transcript(quiet, loud)
    assert redact.transcript(unchanged) is unchanged
    clean = redact.transcript(changed)
    assert clean.turns[0] is quiet
    assert clean.turns[1].steps[1] is quiet.steps[0]
    assert clean.turns[1].steps[0].arguments == {"a": [{"b": "~/x"}]}
    assert clean.turns[1].steps[0].result == "y"


def test_short_and_foreign_words_of_the_user_are_found_as_well():
    clean = Redaction(["zx", "Müller", "a*b"], environment={"MY_TOKEN": "pässwort-ü-123"})
    said = clean.text("ZX and müller, a*b, pässwort-ü-123; zebra")
    assert said == "[redacted listed] and [redacted listed], [redacted listed], [redacted environment]; zebra"
    whole = clean.transcript(transcript(turn("zx", answer="MÜLLER"), turn("A*B pässwort-ü-123", answer="")))
    assert [(each.task, each.answer) for each in whole.turns] == [
        ("[redacted listed]", "[redacted listed]"), ("[redacted listed] [redacted environment]", ""),
    ]  # fmt: skip
