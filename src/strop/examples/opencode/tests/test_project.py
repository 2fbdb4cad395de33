"""`make test`: the configuration can be used, the logs can be read, and what was trained is what lies in outputs."""

import json
import unittest
from pathlib import Path

from strop.agents import need_config

PROJECT = Path(__file__).resolve().parents[1]


class Project(unittest.TestCase):
    def setUp(self) -> None:
        self.file = need_config(PROJECT)

    def test_every_log_is_json_with_examples(self) -> None:
        logs = sorted(self.file.resolve(self.file.config.data.raw_dir).glob("*.json"))
        assert logs, "there is no log in raw_dir"
        for log in logs:
            with self.subTest(log=log.name):
                assert json.loads(log.read_text(encoding="utf-8"))["examples"]

    def test_no_example_is_in_two_splits(self) -> None:
        tasks: dict[str, str] = {}
        for split in sorted(self.file.resolve(self.file.config.data.splits_dir).glob("*.jsonl")):
            for line in split.read_text(encoding="utf-8").splitlines():
                task = " ".join(json.loads(line)["task"].casefold().split())
                assert tasks.setdefault(task, split.name) == split.name, task

    def test_every_prompt_says_where_it_came_from(self) -> None:
        for prompt in sorted(self.file.resolve(self.file.config.outputs.prompts_dir).glob("*.md")):
            told = json.loads(prompt.with_suffix(".meta.json").read_text(encoding="utf-8"))
            assert told["run"]
            assert "scores" in told


if __name__ == "__main__":
    unittest.main()
