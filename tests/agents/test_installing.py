"""Installing where the real clients look, and taking it back to the last byte: through crashes, links and strangers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.agents.installing import Choice, Installation, install, installed, uninstall
from strop.agents.parity import Parity
from strop.agents.places import Place, place_of
from strop.errors import BadInput, ConstraintsUnmet, NotFound, StoreUnwritable
from strop.exporters import body, export, load
from tests.exporters.prompts import DEMO, prompt

SETTINGS = b'{\r\n  // which one\r\n  "share": "disabled", // never\r\n  "agent": {},\r\n}\r\n'
RULES = b"# Rules\n\nBe kind \xff\xfe.\n"


def user_place(home: Path, client: str = "opencode") -> Place:
    return place_of(client, environment={}, home=home)


def project_place(project: Path, client: str = "opencode") -> Place:
    return place_of(client, environment={}, home=project / "nobody", project=project)


def put_in(
    place: Place, name: str = "mine", parity: Parity | None = None, said: Any = None, **choice: Any
) -> Installation:
    return install(
        prompt(name, **(said or {})), place, Choice(**choice), provenance={"run": "r1"}, parity=parity,
        environment={"PATH": ""},
    )  # fmt: skip


def tree(directory: Path) -> dict[str, bytes | None]:
    """Every file with its content, and every directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    config = tmp_path / ".config" / "opencode"
    config.mkdir(parents=True)
    (config / "opencode.json").write_bytes(SETTINGS)
    (config / "AGENTS.md").write_bytes(RULES)
    return tmp_path


def test_places_follow_each_clients_own_rules(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "x"), "CLAUDE_CONFIG_DIR": str(tmp_path / "c")}
    opencode = place_of("opencode", environment=environment, home=tmp_path)
    claude = place_of("claude-code", environment=environment, home=tmp_path)
    codex = place_of("codex", environment={"CODEX_HOME": str(tmp_path / "o")}, home=tmp_path)

    assert opencode.agents == tmp_path / "x" / "opencode" / "agent"
    assert opencode.settings == tmp_path / "x" / "opencode" / "opencode.json"
    assert (claude.agents, claude.memory) == (tmp_path / "c" / "agents", tmp_path / "c" / "CLAUDE.md")
    assert (codex.agents, codex.memory) == (None, tmp_path / "o" / "AGENTS.md")
    assert user_place(tmp_path, "claude-code").root == tmp_path / ".claude"
    assert project_place(tmp_path).agents == tmp_path / ".opencode" / "agent"
    assert project_place(tmp_path, "codex").memory == tmp_path / "AGENTS.md"
    (tmp_path / "x" / "opencode" / "agents").mkdir(parents=True)
    (tmp_path / "x" / "opencode" / "opencode.jsonc").write_text("{}")
    again = place_of("opencode", environment=environment, home=tmp_path)
    assert again.agents == tmp_path / "x" / "opencode" / "agents"
    assert again.settings == tmp_path / "x" / "opencode" / "opencode.jsonc"
    with pytest.raises(BadInput, match="cursor"):
        user_place(tmp_path, "cursor")


def test_an_opencode_agent_is_installed_and_made_the_default(home: Path) -> None:
    place = user_place(home)
    done = put_in(place, "qwen2.5-coder:7b", default=True)

    agent = place.root / "agent" / "qwen2.5-coder-7b.md"
    assert done.agents == ("qwen2.5-coder-7b",)
    assert agent.read_text() == export(prompt("qwen2.5-coder:7b")).content
    side = json.loads((place.root / "agent" / "qwen2.5-coder-7b.meta.json").read_text())
    assert (side["run"], side["parity"]) == ("r1", "skipped")
    assert (place.root / "opencode.json").read_bytes() == SETTINGS.replace(
        b'"agent": {},\r\n', b'"agent": {},\r\n  "default_agent": "qwen2.5-coder-7b",\r\n'
    )
    assert list(installed(place)) == ["qwen2.5-coder-7b"]


@pytest.mark.parametrize("form", ["opencode", "jsonc"])
def test_a_newer_prompt_stays_the_default_agent_without_being_told_again(home: Path, form: str) -> None:
    place = user_place(home)
    assert place.settings is not None
    place.settings.write_bytes(SETTINGS.replace(b'"agent": {}', b'"default_agent": "plan", "agent": {}'))
    before = tree(home)
    put_in(place, format=form, default=True)
    put_in(place, format=form, said={"demos": [DEMO]})
    assert load(place.settings.read_text())["default_agent"] == "mine"
    put_in(place, "other", format=form)
    assert load(place.settings.read_text())["default_agent"] == "mine"
    uninstall(place)
    assert tree(home) == before


CHOICES: list[tuple[str, dict[str, Any]]] = [
    ("opencode", {}),
    ("opencode", {"default": True}),
    ("opencode", {"mode": "append"}),
    ("opencode", {"format": "jsonc", "default": True}),
    ("opencode", {"format": "jsonc", "mode": "append"}),
    ("claude-code", {}),
    ("claude-code", {"mode": "append"}),
    ("codex", {}),
]


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("in_project", [False, True])
@pytest.mark.parametrize(("client", "choice"), CHOICES)
def test_uninstall_brings_every_byte_back(
    tmp_path: Path, client: str, choice: dict[str, Any], in_project: bool, empty: bool
) -> None:
    place = project_place(tmp_path, client) if in_project else user_place(tmp_path, client)
    if not empty:
        place.root.mkdir(parents=True, exist_ok=True)
        place.memory.write_bytes(RULES)
        if place.settings:
            place.settings.write_bytes(SETTINGS)
            place.settings.chmod(0o600)
    before = tree(place.root)
    done = put_in(place, **choice)
    assert tree(place.root) != before
    assert all(change.path.read_bytes() == change.after for change in done.changes)
    put_in(place, said={"demos": [DEMO]}, **choice)
    back = uninstall(place)

    assert back.agents == ("mine",)
    assert tree(place.root) == before
    assert place.root.exists() == (in_project or not empty)
    if not empty and place.settings:
        assert place.settings.stat().st_mode & 0o777 == 0o600


def test_appended_rules_reach_opencode_by_either_way(home: Path) -> None:
    place = user_place(home)
    put_in(place, mode="append")
    assert (place.root / "AGENTS.md").read_bytes() == (
        RULES + b"\n<!-- strop:begin opencode.mine -->\n" + body(prompt(), "append").encode()
        + b"<!-- strop:end opencode.mine -->\n"
    )  # fmt: skip
    put_in(place, mode="append", format="jsonc")
    listed = load((place.root / "opencode.json").read_text())["instructions"]
    assert (place.root / "AGENTS.md").read_bytes() == RULES
    assert [Path(one).read_text() for one in listed] == [body(prompt(), "append")]


def test_a_dry_run_shows_every_file_and_touches_none(home: Path) -> None:
    place = user_place(home)
    (place.root / "opencode.json").write_bytes(SETTINGS.replace(b"// never", b"// sk-abcdefgh12345678901234567890"))
    before = tree(home)
    done = put_in(place, default=True, dry_run=True)
    told = "\n".join(change.diff() for change in done.changes)

    assert tree(home) == before
    assert done.dry_run
    assert [change.path.name for change in done.changes] == ["mine.meta.json", "mine.md", "opencode.json"]
    assert '+  "default_agent": "mine",' in told
    assert "+++ " + str(place.root / "agent" / "mine.md") in told
    assert "sk-abc" not in told
    put_in(place, default=True)
    after = tree(home)
    gone = uninstall(place, dry_run=True)
    assert tree(home) == after
    assert '-  "default_agent": "mine",' in "\n".join(change.diff() for change in gone.changes)


def test_two_agents_in_one_file_go_in_any_order(home: Path) -> None:
    place = user_place(home)
    before = tree(home)
    for order in (("one", "two"), ("two", "one")):
        put_in(place, "one", mode="append")
        put_in(place, "two", mode="append")
        put_in(place, "one", mode="append", said={"instructions": "Newer."})
        assert (place.root / "AGENTS.md").read_text(errors="ignore").count("strop:begin") == 2
        uninstall(place, order[0])
        assert list(installed(place)) == [order[1]]
        uninstall(place, order[1])
        assert tree(home) == before
    put_in(place, "one", default=True)
    put_in(place, "two", default=True)
    uninstall(place, "one")
    assert load((place.root / "opencode.json").read_text())["default_agent"] == "two"
    uninstall(place)
    assert tree(home) == before


def test_two_clients_may_share_one_agents_md(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_bytes(RULES)
    before = tree(tmp_path)
    put_in(project_place(tmp_path, "codex"))
    put_in(project_place(tmp_path), mode="append")
    uninstall(project_place(tmp_path, "codex"))
    assert b"opencode.mine" in (tmp_path / "AGENTS.md").read_bytes()
    uninstall(project_place(tmp_path))
    assert tree(tmp_path) == before


def test_a_file_that_somebody_changed_is_not_brought_back_unasked(home: Path) -> None:
    place = user_place(home)
    put_in(place, mode="append")
    put_in(place, "other", default=True)
    rules, config = place.root / "AGENTS.md", place.root / "opencode.json"
    rules.write_bytes(rules.read_bytes() + b"\nNew rule.\n")
    config.write_bytes(config.read_bytes().replace(b'"disabled"', b'"manual"'))
    before = tree(home)
    for agent in ("mine", "other"):
        with pytest.raises(BadInput, match="was changed by somebody"):
            uninstall(place, agent)
    assert tree(home) == before
    done = uninstall(place, force=True)

    assert rules.read_bytes() == RULES + b"\nNew rule.\n"
    assert config.read_bytes() == SETTINGS.replace(b'"disabled"', b'"manual"')
    assert len(done.notices) == 2
    assert not (place.root / "agent").exists()
    assert not place.state.exists()


def test_a_key_that_was_taken_over_stays_theirs(home: Path) -> None:
    place = user_place(home)
    config = place.root / "opencode.json"
    config.write_text('{"default_agent": "plan"}')
    put_in(place, default=True)
    config.write_text('{"default_agent": "plan", "agent": {}}'.replace("plan", "mine"))
    uninstall(place, force=True)
    assert config.read_text() == '{"default_agent": "plan", "agent": {}}'
    put_in(place, default=True)
    config.write_text('{"default_agent": "build"}')
    uninstall(place, force=True)
    assert config.read_text() == '{"default_agent": "build"}'


def test_new_settings_name_their_schema_and_go_with_the_agent(tmp_path: Path) -> None:
    place = user_place(tmp_path)
    put_in(place, default=True)
    config = place.root / "opencode.json"
    assert load(config.read_text()) == {"$schema": "https://opencode.ai/config.json", "default_agent": "mine"}
    config.write_text(config.read_text().replace("{", "{ // mine now", 1))
    uninstall(place, force=True)
    assert not place.root.exists()


def test_a_newer_prompt_keeps_what_the_user_wrote_meanwhile(home: Path) -> None:
    place = user_place(home)
    put_in(place, mode="append")
    rules = place.root / "AGENTS.md"
    rules.write_bytes(rules.read_bytes().replace(b"# Rules", b"# House rules"))
    put_in(place, mode="append", said={"instructions": "Newer."})
    assert b"Newer." in rules.read_bytes()
    uninstall(place)
    assert rules.read_bytes() == RULES.replace(b"# Rules", b"# House rules")


def test_an_agent_of_the_users_own_is_not_overwritten_unasked(home: Path) -> None:
    place = user_place(home)
    own = place.root / "agent" / "mine.md"
    own.parent.mkdir()
    own.write_text("---\nmode: all\n---\nMine.\n")
    before = tree(home)
    with pytest.raises(BadInput, match=f"^{re.escape(str(own))} is there already and was not installed by Strop"):
        put_in(place)
    assert tree(home) == before
    put_in(place, backup=True)
    assert "Mine." not in own.read_text()
    own.write_text("edited")
    with pytest.raises(BadInput, match="was changed by somebody"):
        put_in(place)
    put_in(place, backup=True)
    uninstall(place)
    assert own.read_text() == "edited"


def test_an_edited_agent_is_kept_aside_when_it_is_forced_away(home: Path) -> None:
    place = user_place(home)
    put_in(place)
    agent = place.root / "agent" / "mine.md"
    agent.write_text("edited")
    with pytest.raises(BadInput, match="was changed by somebody"):
        uninstall(place)
    assert uninstall(place, force=True).notices == (
        f"{agent} had been changed: what it was is kept as {agent}.changed",
    )
    assert tree(place.root / "agent") == {"mine.md.changed": b"edited"}


def test_the_same_file_copied_by_hand_is_no_obstacle(home: Path) -> None:
    place = user_place(home)
    (place.root / "agent").mkdir()
    (place.root / "agent" / "mine.md").write_text(export(prompt()).content)
    before = tree(home)
    put_in(place)
    uninstall(place)
    assert tree(home) == before


def test_an_agent_in_the_settings_is_not_overwritten_unasked(home: Path) -> None:
    place = user_place(home)
    config = place.root / "opencode.json"
    config.write_text('{"agent": {"mine": {"prompt": "Mine."}}, "default_agent": "plan"}')
    before = tree(home)
    with pytest.raises(BadInput, match="has an agent of that name"):
        put_in(place, format="jsonc", default=True)
    put_in(place, format="jsonc", default=True, backup=True)
    assert load(config.read_text())["agent"]["mine"]["prompt"] == body(prompt()).strip()
    uninstall(place)
    assert tree(home) == before


def test_what_opencode_would_die_on_is_told(home: Path) -> None:
    place = user_place(home)
    put_in(place)
    config = place.root / "opencode.json"
    config.write_text('{"default_agent": "mine"}')
    assert "default_agent" in uninstall(place).notices[0]
    config.write_text('{"agent": "x-optimized"}')
    with pytest.raises(BadInput, match="agent must be an object"):
        put_in(place, format="jsonc")
    config.write_text("{oops}")
    with pytest.raises(BadInput, match=r"opencode.json:1"):
        put_in(place, default=True)
    assert not place.state.exists()
    for name in ("build", "Plan"):
        with pytest.raises(BadInput, match="OpenCode's own") as refused:
            put_in(place, name)
        assert "--name" not in (refused.value.hint or "")
    with pytest.raises(BadInput, match="only an OpenCode agent"):
        put_in(user_place(home, "claude-code"), default=True)
    with pytest.raises(BadInput, match="does not read"):
        put_in(user_place(home, "codex"), format="claude")


def test_codex_is_told_when_its_limit_is_passed(tmp_path: Path) -> None:
    place = user_place(tmp_path, "codex")
    assert put_in(place).notices == ()
    assert "32,768" in put_in(place, said={"instructions": "x" * 40_000}).notices[0]


def test_nothing_is_taken_away_that_is_not_there(home: Path) -> None:
    before = tree(home)
    with pytest.raises(NotFound, match="nothing is installed"):
        uninstall(user_place(home))
    with pytest.raises(NotFound, match="'x' is not installed"):
        uninstall(user_place(home), "x")
    assert tree(home) == before


PARITY = Parity(
    examples=20, program=0.8, exported=0.6, change=-0.2, ci95=(-0.4, 0.0), p_value=0.03, verdict="NO EVIDENCE",
    tolerance=0.05, unanswered=1, model="sim/x",
)  # fmt: skip


def test_a_text_that_falls_short_of_its_program_is_not_installed(home: Path) -> None:
    from dataclasses import replace

    before = tree(home)
    with pytest.raises(ConstraintsUnmet, match=r"60.0%.*80.0%.*5.0%"):
        put_in(user_place(home), parity=PARITY)
    assert tree(home) == before
    put_in(user_place(home), parity=replace(PARITY, exported=0.75, change=-0.05))
    side = json.loads((home / ".config" / "opencode" / "agent" / "mine.meta.json").read_text())
    assert side["parity"]["exported"] == 0.75
    assert side["parity"]["passes"] is True


def test_links_are_followed_for_the_user_and_kept(home: Path, tmp_path: Path) -> None:
    place = user_place(home)
    real = tmp_path / "dotfiles" / "opencode.json"
    real.parent.mkdir()
    (place.root / "opencode.json").rename(real)
    (place.root / "opencode.json").symlink_to(real)
    put_in(place, default=True)
    assert (place.root / "opencode.json").is_symlink()
    assert load(real.read_text())["default_agent"] == "mine"
    uninstall(place)
    assert real.read_bytes() == SETTINGS
    assert (place.root / "opencode.json").is_symlink()


def test_a_projects_links_do_not_lead_out_of_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "bashrc").write_text("mine")
    (project / "AGENTS.md").symlink_to(tmp_path / "bashrc")
    with pytest.raises(BadInput, match="out of the project"):
        put_in(project_place(project, "codex"))
    assert (tmp_path / "bashrc").read_text() == "mine"
    assert list(project.iterdir()) == [project / "AGENTS.md"]
    (project / "AGENTS.md").unlink()
    (project / "AGENTS.md").symlink_to("AGENTS.md")
    with pytest.raises(BadInput, match=r"AGENTS\.md"):
        put_in(project_place(project, "codex"))


def test_a_project_keeps_its_notes_in_itself(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (project / ".strop").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="out of the project"):
        put_in(project_place(project, "codex"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_strangers_journal_writes_nothing_outside(tmp_path: Path) -> None:
    project = tmp_path / "project"
    state = project / ".strop" / "agents"
    (state / "staged").mkdir(parents=True)
    sha = "0" * 64
    for path in ("../victim", str(tmp_path / "victim"), "a/../../victim"):
        action = {"path": path, "before": None, "after": sha}
        (state / "staged" / sha).write_text("evil")
        (state / "pending.json").write_text(json.dumps({"actions": [action], "journal": {}}))
        with pytest.raises(BadInput, match="leads out"):
            put_in(project_place(project, "codex"))
    (state / "pending.json").write_text('{"actions": 1}')
    with pytest.raises(BadInput, match="cannot be read"):
        put_in(project_place(project, "codex"))
    assert not (tmp_path / "victim").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere; the next test has a failure that root meets too")
def test_a_directory_that_cannot_be_written_is_told(home: Path) -> None:
    place = user_place(home)
    place.root.chmod(0o500)
    try:
        with pytest.raises(StoreUnwritable, match="cannot be written"):
            put_in(place)
    finally:
        place.root.chmod(0o700)


def test_a_failure_half_way_undoes_the_first_half(home: Path) -> None:
    place = user_place(home)
    (place.root / "agent").write_text("a file where the directory should be")
    before = tree(home)
    with pytest.raises((StoreUnwritable, BadInput)):
        put_in(place, default=True)
    assert tree(home) == before
    (place.root / "agent").unlink()
    (place.root / "opencode.json").unlink()
    (place.root / "opencode.json").mkdir()
    before = tree(home)
    with pytest.raises(BadInput, match="no plain file"):
        put_in(place, default=True)
    assert tree(home) == before


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes that are killed are forks")
@pytest.mark.parametrize("what", ["install", "uninstall"])
def test_killed_anywhere_the_next_command_completes_it(home: Path, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.agents.killed", str(home), what], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": "", "PYTHONWARNINGS": "ignore"}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 12, "so many steps were survived"


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(range(len(CHOICES[:5]))), st.booleans()), max_size=5
    ),
    st.sampled_from([SETTINGS, b"{}", b'{"default_agent":"build"/**/}', b'{"instructions": [ "a" , ], }\n', None]),
)
def test_any_history_ends_where_it_began(steps: list[tuple[str, int, bool]], content: bytes | None) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        place = user_place(Path(directory))
        place.root.mkdir(parents=True)
        if content is not None:
            (place.root / "opencode.json").write_bytes(content)
        before = tree(place.root)
        for name, choice, away in steps:
            put_in(place, name, **CHOICES[choice][1])
            if away:
                uninstall(place, name)
        for name in list(installed(place)):
            uninstall(place, name)
        assert tree(place.root) == before


FAKE_CLIENT = """#!{python}
import json, os, sys, time
from pathlib import Path
assert sys.argv[1:3] == ["debug", "agent"], sys.argv
config = Path(os.environ["XDG_CONFIG_HOME"]) / "opencode"
text = (config / "agent" / (sys.argv[3] + ".md")).read_text()
assert os.environ["OPENCODE_DISABLE_MODELS_FETCH"] == "1" and "SECRET_KEY" not in os.environ
{body}
"""
ANSWERS = {
    "good": 'print("note\\n" + json.dumps({"mode": "primary", "prompt": text.split("---", 2)[2].strip()}))',
    "refusing": 'sys.exit("Configuration is invalid")',
    "other prompt": 'print(json.dumps({"prompt": text}))',
    "babbling": 'print("hello")',
}


@pytest.mark.parametrize("answer", list(ANSWERS))
def test_the_real_client_has_the_last_word(home: Path, tmp_path: Path, answer: str) -> None:
    command = tmp_path / "bin" / "opencode"
    command.parent.mkdir()
    command.write_text(FAKE_CLIENT.format(python=sys.executable, body=ANSWERS[answer]))
    command.chmod(0o755)
    environment: Mapping[str, str] = {"PATH": str(command.parent), "SECRET_KEY": "x"}

    def go(**choice: Any) -> Installation:
        return install(
            prompt(), user_place(home), Choice(**choice), provenance={}, parity=None, environment=environment
        )

    if answer == "good":
        assert go().checks == ("its front matter keeps the client's rules", "opencode itself accepts it (mode primary)")
        return
    before = tree(home)
    with pytest.raises(BadInput, match=r"opencode (does not accept|reads another)"):
        go()
    assert tree(home) == before
    assert go(ask_client=False).checks == ("its front matter keeps the client's rules",)
