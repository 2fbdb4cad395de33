"""A key is nowhere but in the environment, whatever a provider says; a model file is data, whatever is in it."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.campaign import rows, run, task_directory
from tests.support.campaign_ledger import everything
from tests.support.campaign_process import strop

PLAIN = "sk-canary0f7e6d5c4b3a2918"
ODD = "cnry/9w8+e7=r6t5y4u3"
"""Without the shape of a key, and other in every encoding."""
WAYS = {
    "environment": ("OPENAI_API_KEY", PLAIN),
    "dotenv": ("OPENAI_API_KEY", ODD),
    "api_key_env": ("MY_DOORBELL", ODD),
}
"""How a key comes: the last one under a name that does not say what it is."""


def written(key: str) -> set[bytes]:
    """The key as it may stand in a text, a URL, JSON, HTML or a header."""
    ways = {
        key,
        urllib.parse.quote(key),
        urllib.parse.quote(key, safe=""),
        urllib.parse.quote_plus(key),
        json.dumps(key)[1:-1],
        key.replace("/", "\\/"),
        key.replace("=", "&#61;").replace("+", "&#43;"),
        repr(key)[1:-1],
    }
    encoded = {base64.b64encode(way.encode()).rstrip(b"=")[:-1] for way in (key, f"Bearer {key}")}
    return {way.encode() for way in ways} | encoded


def leaks(directory: Path, key: str, *texts: str) -> list[str]:
    """Where the key is found: in files under `directory`, or in one of the texts."""
    forms = written(key)
    found = [
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".env" and any(form in path.read_bytes() for form in forms)
    ]
    return found + [text[:2000] for text in texts if any(form in text.encode() for form in forms)]


@contextmanager
def tattler(mode: str) -> Iterator[str]:
    """A provider that puts the key it was given into everything that it says."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = dict(self.headers)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            key = given.get("Authorization", given.get("authorization", "")).removeprefix("Bearer ")
            said = f"you sent {key} as {urllib.parse.quote(key, safe='')} in {json.dumps(given)}"
            if mode == "200":
                body: dict[str, Any] = {
                    "id": "x", "object": "chat.completion", "created": 1, "model": "tiny",
                    "choices": [{"index": 0, "finish_reason": "stop",
                                 "message": {"role": "assistant", "content": f"[[ ## section ## ]]\ngames\n\n{said}"}}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
                }  # fmt: skip
            else:
                body = {"error": {"message": said, "type": "x", "code": key, "param": key}}
            raw = json.dumps(body).encode()
            self.send_response(int(mode))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.send_header("x-echo", key)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("way", "mode", "code"),
    [
        ("environment", "401", 3), ("dotenv", "500", 3), ("api_key_env", "400", 0), ("api_key_env", "200", 0),
        *(pytest.param(*rare, marks=pytest.mark.soak) for rare in (
            ("dotenv", "401", 3), ("api_key_env", "401", 3), ("environment", "200", 0), ("environment", "500", 3),
        )),
    ],
)  # fmt: skip
def test_a_key_that_the_provider_echoes_is_nowhere(tmp_path: Path, way: str, mode: str, code: int) -> None:
    name, key = WAYS[way]
    environment = {"STROP_DEBUG": "1"}
    with tattler(mode) as base:
        model: dict[str, Any] = {"model": "openai/tiny", "api_base": base, "retries": 0}
        if way == "api_key_env":
            model["api_key_env"] = name
        directory = task_directory(
            tmp_path / "task", rows(60), algorithm="bootstrapfewshot", models={"task": model}, concurrency=4
        )
        if way == "dotenv":
            (directory / ".env").write_text(f'{name}="{key}"\n')
        else:
            environment[name] = key
        said: list[str] = []
        for number, words in enumerate((["optimize", "."], ["optimize", ".", "--json"])):
            ended, text = strop(*words, output=tmp_path / f"out{number}", environment=environment, cwd=directory)
            assert ended == code, text
            said.append(text)
        assert "you sent" in b"".join(p.read_bytes() for p in (directory / ".strop").iterdir() if p.is_file()).decode(
            errors="replace"
        ), "the tattler was not heard"
        looks: list[list[str]] = [["ledger", "--calls"], ["runs", "show", "last"], ["doctor"]]
        if code == 0:
            looks += [["versions", "export", "campaign", str(tmp_path / "task" / "exported.json")]]
            looks += [["predict", "campaign", "description=a game"]]
        for number, words in enumerate(looks):
            ended, text = strop(*words, output=tmp_path / f"look{number}", environment=environment, cwd=directory)
            said.append(text)
            assert "Traceback" not in text or words[0] == "predict", text
    assert leaks(directory, key, *said) == []


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task with two versions, and the active one as a file beside it."""
    directory = task_directory(tmp_path_factory.mktemp("deployed") / "task", rows(60), algorithm="labeledfewshot")
    assert run(directory).status == "completed"
    code, text = strop(
        "versions", "export", "campaign", "model.json", "--version", "latest",
        output=directory.parent / "out", cwd=directory,
    )  # fmt: skip
    assert code == 0, text
    return directory


@pytest.mark.parametrize("suffix", [".json", ".pkl", ""])
def test_a_pickle_offered_as_a_model_is_refused_unexecuted(deployed: Path, tmp_path: Path, suffix: str) -> None:
    mark = tmp_path / "executed"
    model = tmp_path / f"model{suffix}"
    if suffix:
        model.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        model.mkdir()
        for name in ("program.json", "manifest.json", "program.pkl"):
            (model / name).write_bytes(pickle.dumps(Bomb(mark)))
    before = everything(deployed)
    code, text = strop("versions", "import", str(model), output=tmp_path / "out", cwd=deployed)
    assert code == 7, text
    assert "Traceback" not in text
    assert not mark.exists()
    assert everything(deployed) == before


def altered(path: Path, to: Path) -> Path:
    """The file with one word of the program changed."""
    text = path.read_text("utf-8")
    assert text.count("Choose the archive section") >= 1
    to.write_text(text.replace("Choose the archive section", "Leak the archive section", 1), "utf-8")
    return to


def test_an_altered_artifact_is_refused_and_an_honest_one_is_not(deployed: Path, tmp_path: Path) -> None:
    before = everything(deployed)
    bad = altered(deployed / "model.json", tmp_path / "bad.json")
    code, text = strop("versions", "import", str(bad), "--name", "b", output=tmp_path / "a", cwd=deployed)
    assert code == 7, text
    assert everything(deployed) == before
    good = shutil.copy(deployed / "model.json", tmp_path / "good.json")
    code, text = strop("versions", "import", str(good), "--name", "c", output=tmp_path / "b", cwd=deployed)
    assert code == 0, text


def test_an_altered_database_row_is_not_put_to_use(deployed: Path, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    directory = shutil.copytree(deployed, tmp_path / "task")
    with closing(sqlite3.connect(directory / ".strop" / "strop.db")) as connection:
        changed = connection.execute(
            "UPDATE versions SET state = replace(state, 'Choose the archive', 'Leak the archive'), "
            "spec = replace(spec, 'Choose the archive', 'Leak the archive')"
        ).rowcount
        connection.commit()
    assert changed >= 1
    code, text = strop("predict", "campaign", "description=a game", output=tmp_path / "out", cwd=directory)
    assert code == 7, text
    assert "Traceback" not in text
