"""The mapping with ten million entries: what a look-up costs beside its cost with a thousand.

    python -m tests.bench.bench_mapping [entries …]

Both stores are asked in turns within one run, and only the ratio means something. The large one is filled past the
store's own commit, in the order of its index, so that it is there in minutes; about 3 GB of disk while it runs.
"""

import secrets
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from appliance.deid.outcome import Minted
from appliance.mapping.listed import Book
from appliance.mapping.store import MappingStore, index_key, index_of

SMALL, LARGE = 1_000, 10_000_000
ALLOWED = 2.5
TURNS = 2_000
BATCH = 100_000
KEY = b"k" * 32
SEALED = 12 + 16 + len('["", "site", "0001234567"]')  # bytes: nonce, tag and what is sealed


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Filled:
    """A store of ``entries`` patients, numbered; those below TURNS as the store itself commits them."""

    def __init__(self, folder: Path, entries: int) -> None:
        self.entries = entries
        path = folder / f"{entries}.db"
        self.store = MappingStore(path, KEY)
        self.book = Book(path, KEY)
        self._next = entries
        known = range(min(TURNS, entries))
        self.store.commit([_patient(number) for number in known])
        self._fill(range(len(known), entries))

    def _fill(self, numbers: range) -> None:
        key = index_key(KEY)
        digests = bytearray()
        for number in numbers:
            digests += index_of(key, "patient", "", "site", _number(number))
        indexes = np.frombuffer(bytes(digests), dtype="S32") if numbers else np.array([], dtype="S32")
        order = np.argsort(indexes, kind="stable")
        sealed = secrets.token_bytes(SEALED)
        db = self.store.db
        # Only while it is filled: what a power cut would take away is a bench.
        for pragma in ("synchronous=OFF", "wal_autocheckpoint=20000", "cache_size=-1000000"):
            db.execute(f"PRAGMA {pragma}")
        for start in range(0, len(order), BATCH):
            db.execute("BEGIN")
            db.executemany(
                "INSERT INTO mapped (index_, kind, pseudonym, sealed) VALUES (?, 'patient', ?, ?)",
                (
                    # Pseudonyms in the order of the index: two trees grow at their ends, and neither at random.
                    (bytes(digests[at * 32 : at * 32 + 32]), f"st-elsewhere-{start + rank:016d}", sealed)
                    for rank, at in enumerate(order[start : start + BATCH].tolist())
                ),
            )
            db.execute("COMMIT")
        for pragma in ("wal_checkpoint(TRUNCATE)", "synchronous=FULL", "wal_autocheckpoint=1000", "cache_size=-65536"):
            db.execute(f"PRAGMA {pragma}")

    def look_up(self, turn: int) -> None:
        assert self.store.pseudonym_of("patient", "site", _number(self._somebody(turn))) is not None

    def ask_as_a_worker(self, turn: int) -> None:
        assert self.book.known("", "site", _number(self._somebody(turn))).pseudonym is not None

    def ask_for_a_stranger(self, turn: int) -> None:
        assert self.book.known("", "site", f"stranger {turn}").pseudonym is None

    def way_back(self, turn: int) -> None:
        found = self.store.original_of(f"st-{turn % min(TURNS, self.entries)}")
        assert found is not None

    def commit_one(self, _turn: int) -> None:
        self._next += 1
        assert self.store.commit([_patient(self._next)]) == []

    def _somebody(self, turn: int) -> int:
        return (turn * 7_368_787 + 11) % self.entries

    def close(self) -> None:
        self.book.close()
        self.store.close()


MEASURED: dict[str, tuple[Callable[[Filled, int], None], int]] = {
    "look up": (Filled.look_up, TURNS),
    "a worker's question": (Filled.ask_as_a_worker, TURNS),
    "a stranger": (Filled.ask_for_a_stranger, TURNS),
    "the way back": (Filled.way_back, TURNS),
    "commit one, durably": (Filled.commit_one, 100),
}


def main(sizes: list[int]) -> int:
    """Print the table; return 1 if a look-up's ratio is above what is allowed."""
    with tempfile.TemporaryDirectory() as folder:
        stores = []
        for entries in sizes:
            began = time.perf_counter()
            stores.append(Filled(Path(folder), entries))
            bytes_ = sum(file.stat().st_size for file in Path(folder).glob(f"{entries}.db*"))
            say(f"{entries:>11,} entries made in {time.perf_counter() - began:.0f} s, {bytes_ / 1e6:,.0f} MB")
        say(f"{'µs, median':<22}" + "".join(f"{store.entries:>13,}" for store in stores) + "       ratio")
        worst = 0.0
        for name, (step, turns) in MEASURED.items():
            small, *_, large = found = _side_by_side(stores, step, turns)
            if step is not Filled.commit_one:
                worst = max(worst, large / small)
            say(f"{name:<22}" + "".join(f"{us:>13.1f}" for us in found) + f"{large / small:>12.2f}")
        for store in stores:
            store.close()
    say(f"worst ratio of a look-up {worst:.2f}, allowed {ALLOWED} (SQLite {sqlite3.sqlite_version})")
    return int(worst > ALLOWED)


def _side_by_side(stores: list[Filled], step: Callable[[Filled, int], None], turns: int) -> list[float]:
    """Return the median µs of ``step`` for each store, measured in turns so that the machine's moods are shared."""
    took: list[list[float]] = [[] for _ in stores]
    for turn in range(turns):
        for store, times in zip(stores, took, strict=True):
            began = time.perf_counter()
            step(store, turn)
            times.append((time.perf_counter() - began) * 1e6)
    return [statistics.median(times[turns // 20 :]) for times in took]


def _number(number: int) -> str:
    return f"{number:010d}"


def _patient(number: int) -> Minted:
    return Minted("patient", "site", _number(number), f"st-{number}")


def test_looking_up_among_ten_million_costs_about_what_it_costs_among_a_thousand() -> None:
    assert main([SMALL, LARGE]) == 0


if __name__ == "__main__":
    sys.exit(main([int(text.replace(",", "")) for text in sys.argv[1:]] or [SMALL, LARGE]))
