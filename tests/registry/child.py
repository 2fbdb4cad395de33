"""Another process for the registry's tests: `python child.py VERB URL ...`; it says a word a line on stdout."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.registry.samples import SPEC, program, register

from strop.programs import dump
from strop.registry import Registry
from strop.store import Store


def together(url: str, count: int, verb: str) -> None:
    """`count` processes that each register a program of their own, or activate a version of their own, at one moment."""
    ready, go = os.pipe(), os.pipe()
    children: list[int] = []
    for number in range(1, count + 1):
        pid = os.fork()
        if pid == 0:
            os.close(go[1])
            with Store.open(url) as store:
                registry = Registry(store)
                os.write(ready[1], b".")
                os.read(go[0], 1)
                if verb == "register":
                    register(registry, number)
                else:
                    for turn in range(3):
                        registry.activate("mail", (number + turn) % count + 1)
            os._exit(0)
        children.append(pid)
    for _ in children:
        os.read(ready[0], 1)
    os.close(go[1])
    print(sum(os.waitpid(pid, 0)[1] != 0 for pid in children), flush=True)


def churn(url: str, path: str) -> None:
    """Register, activate and export for ever, saying each number that was committed."""
    state = dump(program(0))
    with Store.open(url) as store:
        registry = Registry(store)
        while True:
            number = len(registry.versions("mail")) + 1
            state["predict"]["signature"]["instructions"] = f"Rule {number} " + "x" * 100_000
            registry.register("mail", spec=SPEC, state=state)
            registry.activate("mail", number)
            registry.export("mail", number, path)
            print(number, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "churn":
        churn(sys.argv[2], sys.argv[3])
    else:
        together(sys.argv[2], int(sys.argv[3]), sys.argv[1])
