"""Other processes for the registry's tests, forked off one that has imported DSPy already, which takes seconds.

`python child.py` reads a JSON list a line: ["together", verb, url, count] or ["churn", url, path].
It answers a word a line, the last one of each order being "done N", where N of its processes failed.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from strop.programs import dump
from strop.registry import Registry
from strop.store import Store
from tests.registry.samples import SPEC, make_tables, program, register


def fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def together(verb: str, url: str, count: int) -> list[int]:
    """`count` processes that each register a program, or activate versions, all at one moment."""
    ready, go = os.pipe(), os.pipe()

    def work(number: int) -> None:
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

    children = [fork(lambda number=number: work(number)) for number in range(1, count + 1)]
    for _ in children:
        os.read(ready[0], 1)
    for end in (*go, *ready):
        os.close(end)
    return children


def churn(url: str, path: str) -> None:
    """Register, activate and export for ever, saying each number that was committed."""
    state = dump(program(0))
    with Store.open(url) as store:
        registry = Registry(store)
        number = len(registry.versions("mail"))
        while True:
            number += 1
            state["predict"]["signature"]["instructions"] = f"Rule {number} " + "x" * 100_000
            registry.register("mail", spec=SPEC, state=state)
            registry.activate("mail", number)
            registry.export("mail", number, path)
            print(number, flush=True)


def main() -> None:
    import psycopg  # noqa: F401 - imported once, here, and not in each process

    with Store.open() as store:
        make_tables(store)
        register(Registry(store), 0)
    for line in sys.stdin:
        verb, *words = json.loads(line)
        if verb == "together":
            children = together(*words)
        else:
            children = [fork(lambda words=words: churn(*words))]
            print(children[0], flush=True)
        print("done", sum(os.waitpid(pid, 0)[1] != 0 for pid in children), flush=True)


if __name__ == "__main__":
    main()
