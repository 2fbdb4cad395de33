"""Scripted sessions: tool calls in each dialect, whole and in pieces, and what a script does with requests."""

import json
from typing import Any

import httpx
import pytest

from tests.support.provider_script import Script, Use
from tests.support.provider_server import ProviderServer

TOOLS = {
    "openai": [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}],
    "anthropic": [{"name": "read", "input_schema": {"type": "object"}}],
    "responses": [{"type": "function", "name": "read", "parameters": {"type": "object"}}],
}
PATHS = {"openai": "chat/completions", "anthropic": "messages", "responses": "responses"}
CALL = Use("read", {"path": 'a ünïcode "name".py', "lines": [1, 2]})


def ask(server: ProviderServer, dialect: str, *, tools: bool = True, stream: bool = False) -> httpx.Response:
    turns = [{"role": "user", "content": "Go on."}]
    body: dict[str, Any] = {"model": "m", "max_tokens": 100, "stream": stream}
    body |= {"input" if dialect == "responses" else "messages": turns}
    if tools:
        body["tools"] = TOOLS[dialect]
    return httpx.post(f"{server.openai_base}/{PATHS[dialect]}", json=body, trust_env=False)


def events(answer: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def called(dialect: str, answer: dict[str, Any]) -> list[tuple[str, Any]]:
    """(name, arguments) of the calls in an answer that came whole."""
    if dialect == "openai":
        calls = answer["choices"][0]["message"]["tool_calls"]
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]
    if dialect == "anthropic":
        return [(block["name"], block["input"]) for block in answer["content"] if block["type"] == "tool_use"]
    return [(i["name"], json.loads(i["arguments"])) for i in answer["output"] if i["type"] == "function_call"]


@pytest.mark.parametrize("dialect", TOOLS)
def test_calls_arrive_whole(dialect: str) -> None:
    with ProviderServer(Script(["Look.", CALL, CALL])) as server:
        assert called(dialect, ask(server, dialect).json()) == [("read", CALL.arguments)] * 2


def test_calls_arrive_in_pieces_from_chat_completions() -> None:
    with ProviderServer(Script(["Look.", CALL, CALL])) as server:
        chunks = [event["choices"][0] for event in events(ask(server, "openai", stream=True)) if event["choices"]]
    deltas = [call for chunk in chunks for call in chunk["delta"].get("tool_calls", ())]
    for index in (0, 1):
        pieces = [delta["function"]["arguments"] for delta in deltas if delta["index"] == index]
        assert json.loads("".join(pieces)) == CALL.arguments
        assert len(pieces) > 3
    assert chunks[-1]["finish_reason"] == "tool_calls"


def test_calls_arrive_in_pieces_from_messages() -> None:
    with ProviderServer(Script([CALL])) as server:
        told = events(ask(server, "anthropic", stream=True))
    pieces = [event["delta"]["partial_json"] for event in told if event["type"] == "content_block_delta"]
    assert json.loads("".join(pieces)) == CALL.arguments
    assert [event["delta"]["stop_reason"] for event in told if event["type"] == "message_delta"] == ["tool_use"]


def test_a_free_form_call_is_text() -> None:
    with ProviderServer(Script([Use("apply_patch", "*** Begin Patch\n")])) as server:
        told = events(ask(server, "responses", stream=True))
    (item,) = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", "*** Begin Patch\n")
    assert told[-1]["type"] == "response.completed"


def test_a_script_goes_on_with_requests_that_offer_tools_and_says_when_it_was_not_played_to_its_end() -> None:
    script = Script("One.", "Two.", aside="A title")
    with ProviderServer(script) as server:
        said = [ask(server, "openai", tools=tools) for tools in (True, False, True)]
        assert [one.json()["choices"][0]["message"]["content"] for one in said] == ["One.", "A title", "Two."]
        script.assert_played()
        assert ask(server, "openai").status_code == 404
    with pytest.raises(AssertionError, match="3 times for 2 steps"):
        script.assert_played()


def test_answers_have_ids_of_their_own() -> None:
    with ProviderServer(Script("One.", "Two.")) as server:
        ids = {ask(server, "anthropic").json()["id"] for _ in range(2)}
    assert len(ids) == 2


def test_the_system_prompt_is_read_from_wherever_the_dialect_puts_it() -> None:
    turn = {"role": "user", "content": "Go on."}
    bodies = {
        "openai": {"messages": [{"role": "developer", "content": "Be kind."}, turn]},
        "anthropic": {"system": [{"type": "text", "text": "Be kind."}], "messages": [turn], "max_tokens": 5},
        "responses": {"instructions": "Be kind.", "input": [turn]},
    }
    with ProviderServer(lambda messages, model, params: "Yes.") as server:
        for dialect, body in bodies.items():
            httpx.post(f"{server.openai_base}/{PATHS[dialect]}", json={"model": "m", **body}, trust_env=False)
    assert [call.system for call in server.requests] == ["Be kind."] * 3
    assert [call.messages[-1] for call in server.requests] == [("user", "Go on.")] * 3
