"""The word-vector table says what the sentence-embedding model says, loads safely, and can be done without."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.embedded import vectors

# Cosines of the full model (384 dimensions), computed with PyTorch and sentence-transformers, not with our script.
FULL_MODEL = {
    ("courier", "logistics"): 0.5231,
    ("invoice", "billing"): 0.6133,
    ("refund", "payment"): 0.4325,
    ("password", "login"): 0.6636,
    ("database", "sql"): 0.6956,
    ("daemon", "server"): 0.3660,
    ("compiler", "programming"): 0.6035,
    ("genome", "biology"): 0.5226,
    ("astronomy", "telescope"): 0.7423,
    ("violin", "music"): 0.5334,
    ("banana", "kernel"): 0.2111,
    ("parcel", "shipping"): 0.5155,
    ("hotel", "tractor"): 0.1525,
    ("webhook", "kubernetes"): 0.2678,
    ("guitar", "tax"): 0.1527,
}


@pytest.fixture(scope="module")
def table() -> vectors.WordTable:
    found = vectors.read_table(vectors.TABLE_FILE)
    assert found is not None
    return found


def save(path: Path, words: bytes, rows: np.ndarray) -> Path:
    np.savez_compressed(path, words=np.frombuffer(words, dtype=np.uint8), rows=rows)
    return path


def test_related_words_are_closer_than_nearly_all_random_pairs(table: vectors.WordTable) -> None:
    pairs = np.random.default_rng(0).integers(0, len(table.rows), (2, 20_000))
    chance = np.quantile((table.rows[pairs[0]] * table.rows[pairs[1]]).sum(axis=1), 0.985)
    assert vectors.similarity("courier", "logistics") > chance
    assert vectors.similarity("invoice", "billing") > chance + 0.2


def test_pairs_are_ordered_as_the_full_model_orders_them() -> None:
    ours = [vectors.similarity(left, right) for left, right in FULL_MODEL]
    assert np.corrcoef(ours, list(FULL_MODEL.values()))[0, 1] > 0.9


def test_rows_are_finite_unit_vectors_of_distinct_words(table: vectors.WordTable) -> None:
    assert len(table.index) == len(table.rows) > 25_000
    np.testing.assert_allclose(np.linalg.norm(table.rows, axis=1), 1, atol=1e-5)


def test_file_is_small_and_holds_no_objects() -> None:
    assert vectors.TABLE_FILE.stat().st_size < 2_000_000
    with np.load(vectors.TABLE_FILE, allow_pickle=False) as archive:
        assert {name: archive[name].dtype for name in archive.files} == {"words": np.uint8, "rows": np.int8}


@pytest.mark.parametrize(
    ("inflected", "base"),
    [("Dockerfiles", "dockerfile"), ("courier's", "courier"), ("chatbots", "chatbot"), ("REFACTORED", "refactor")],
)
def test_unlisted_inflections_are_found_by_their_base_form(inflected: str, base: str) -> None:
    assert vectors.similarity(inflected, base) == pytest.approx(1)


@pytest.mark.parametrize(
    ("word", "base"),
    [
        ("replies", "reply"), ("replied", "reply"), ("boxes", "box"), ("tickets", "ticket"), ("shipping", "ship"),
        ("stopped", "stop"), ("pricing", "price"), ("routed", "route"), ("calling", "call"), ("users'", "user"),
    ],
)  # fmt: skip
def test_base_forms_contain_the_word_that_was_inflected(word: str, base: str) -> None:
    assert base in list(vectors.base_forms(word))


@given(st.text(max_size=20))
def test_any_text_may_be_asked_for(word: str) -> None:
    assert all(len(base) < len(word) for base in vectors.base_forms(word))
    row = vectors.vector(word)
    assert row is None or row.shape == (vectors.DIMENSIONS,)


def test_unknown_words_are_similar_to_nothing() -> None:
    assert vectors.vector("qzxvkj") is None
    assert vectors.similarity("qzxvkj", "invoice") == 0.0
    assert vectors.similarity("qzxvkj", "qzxvkj") == 0.0


def test_matrix_has_the_vectors_in_order_and_zeros_for_unknown_words() -> None:
    rows = vectors.matrix(["invoice", "qzxvkj", "courier"])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0], vectors.vector("invoice"))
    np.testing.assert_array_equal(rows[1], np.zeros(vectors.DIMENSIONS))
    np.testing.assert_array_equal(rows[2], vectors.vector("courier"))
    assert vectors.matrix([]).shape == (0, vectors.DIMENSIONS)
    assert vectors.matrix(["qzxvkj"]).shape == (1, vectors.DIMENSIONS)


def test_nobody_can_change_the_shared_table() -> None:
    row = vectors.vector("invoice")
    assert row is not None
    with pytest.raises(ValueError, match="read-only"):
        row[0] = 1.0


def test_switch_turns_the_table_off_and_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vectors.available()
    monkeypatch.setenv("STROP_EMBEDDED_VECTORS", "off")
    assert not vectors.available()
    assert vectors.vector("invoice") is None
    assert vectors.similarity("invoice", "billing") == 0.0
    assert not vectors.matrix(["invoice"]).any()
    monkeypatch.delenv("STROP_EMBEDDED_VECTORS")
    assert vectors.available()


def test_missing_file_is_no_table(tmp_path: Path) -> None:
    assert vectors.LazyTable(tmp_path / "absent.npz").get() is None


def test_damaged_or_foreign_files_are_no_table_and_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = vectors.TABLE_FILE.read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "altered.npz").write_bytes(whole[:200_000] + bytes(1_000) + whole[201_000:])
    np.savez(tmp_path / "pickled.npz", words=np.array([{}], dtype=object), rows=np.zeros((1, 48), np.int8))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    save(tmp_path / "short.npz", b"one\ntwo", np.ones((1, 48), np.int8))
    damaged = sorted(tmp_path.glob("*.npz"))
    with caplog.at_level(logging.WARNING):
        assert [vectors.read_table(path) for path in damaged] == [None] * 7
    logged = [record.getMessage() for record in caplog.records]
    assert all(path.name in message for path, message in zip(damaged, logged, strict=True))


def test_threads_that_ask_first_share_one_table(tmp_path: Path) -> None:
    lazy = vectors.LazyTable(save(tmp_path / "own.npz", b"one\ntwo", np.ones((2, 48), np.int8)))
    gate = Barrier(16)

    def ask(_: int) -> vectors.WordTable | None:
        gate.wait()
        return lazy.get()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    assert answers[0] is not None
    assert all(answer is answers[0] for answer in answers)
