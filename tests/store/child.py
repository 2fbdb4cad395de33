"""Another process for the store's tests: `python child.py VERB URL [NUMBER]`; it says a word a line on stdout."""

import json
import resource
import sys

from notes import count, make_tables, notes

from strop.errors import Fenced, StropError
from strop.store import Lease, Store


def say(word: object) -> None:
    print(word, flush=True)


def hear() -> str:
    return sys.stdin.readline().strip()


def main(verb: str, url: str, number: int) -> None:
    if verb == "open":
        with Store.open(url):
            say("alembic" in sys.modules)
    elif verb == "count":
        say("ready")
        hear()
        with Store.open(url) as store:
            make_tables(store)
            for _ in range(number):
                count(store, "shared")
    elif verb == "write":
        with Store.open(url) as store:
            for i in range(number):
                with store.write() as connection:
                    connection.execute(notes.insert(), {"text": str(i)})
                say(i)
    elif verb == "fill":
        fill(url, number)
    elif verb == "own":
        own(url, number)


def fill(url: str, limit: int) -> None:
    """Write until the disk is full, here at `limit` bytes a file."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    written = 0
    with Store.open(url) as store:
        make_tables(store)
        try:
            while True:
                with store.write() as connection:
                    connection.execute(notes.insert(), {"text": "x" * 10_000})
                written += 1
        except StropError as error:
            say(
                json.dumps(
                    {"written": written, "kind": type(error).__name__, "message": str(error), "hint": error.hint}
                )
            )


def own(url: str, ttl_s: int) -> None:
    """Own the lease `run:1` and write a note whenever told to."""
    with Store.open(url) as store:
        lease = Lease.acquire(store, "run:1", "the child", ttl_s)
        say(lease.epoch)
        while hear():
            try:
                with store.write() as connection:
                    lease.check(connection)
                    connection.execute(notes.insert(), {"text": f"epoch {lease.epoch}"})
                say("written")
            except Fenced:
                say("fenced")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
