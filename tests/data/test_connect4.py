import hashlib
import time

import numpy as np
import pytest

from rlvm.data import connect4, dataset


def four_by_search(stones):
    """Whether a [7, 6] grid of booleans holds four in a line, cell by cell."""
    cells = {(c, r) for c in range(7) for r in range(6) if stones[c, r]}
    return any(
        all((c + k * dc, r + k * dr) in cells for k in range(4))
        for c, r in cells
        for dc, dr in ((1, 0), (0, 1), (1, 1), (1, -1))
    )


def grid(stones):
    return np.array([[stones >> (7 * c + r) & 1 for r in range(6)] for c in range(7)], bool)


def bitboard(cells):
    return np.array([sum(1 << (7 * c + r) for c, r in np.argwhere(cells))], np.int64)


def dropped(own, other, column):
    """`own` with one more stone in `column`, None where the column is full."""
    row = own[column].sum() + other[column].sum()
    if row == 6:
        return None
    own = own.copy()
    own[column, row] = True
    return own


def depth_first(plies):
    """All boards after `plies`, one of each mirror pair, in the order of a recursive walk."""
    kept, seen = [], set()

    def visit(own, other, ply):
        if {own.tobytes() + other.tobytes(), own[::-1].tobytes() + other[::-1].tobytes()} & seen:
            return
        seen.add(own.tobytes() + other.tobytes())
        if ply == plies:
            kept.append((own, other))
            return
        for column in (3, 2, 4, 1, 5, 0, 6):
            moved = dropped(own, other, column)
            if moved is not None:
                visit(other, moved, ply + 1)

    visit(np.zeros((7, 6), bool), np.zeros((7, 6), bool), 0)
    return kept


def test_positions_have_the_known_content():
    rows = connect4.positions()
    assert rows.shape == (67557, 126) and rows.dtype == np.uint8
    assert hashlib.sha256(rows.tobytes()).hexdigest() == connect4.SHA256
    cells = rows.reshape(-1, 42, 3)
    assert (cells.sum(-1) == 1).all()
    assert (cells[..., 0].sum(-1) == 4).all() and (cells[..., 2].sum(-1) == 4).all()


def test_a_wrong_rule_is_noticed(monkeypatch):
    monkeypatch.setattr(connect4, "MOVE_ORDER", (0, 1, 2, 3, 4, 5, 6))
    with pytest.raises(RuntimeError, match="differ from the known set"):
        connect4.positions()


def test_breadth_first_keeps_the_depth_first_order():
    expected = depth_first(plies=4)
    to_move = other = np.zeros(1, np.int64)
    for _ in range(4):
        to_move, other = connect4._next_ply(to_move, other)
    assert len(to_move) == len(expected)
    for own, opponent, (expected_own, expected_other) in zip(to_move, other, expected, strict=True):
        np.testing.assert_array_equal(grid(own), expected_own)
        np.testing.assert_array_equal(grid(opponent), expected_other)


def test_lines_and_threats_agree_with_search_cell_by_cell():
    rng = np.random.default_rng(0)
    grids = rng.random((300, 7, 6)) < 0.45
    boards = np.concatenate([bitboard(g) for g in grids])
    expected = np.array([four_by_search(g) for g in grids])
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(connect4.has_four(boards), expected)
    np.testing.assert_array_equal([grid(m) for m in connect4.mirror(boards)], grids[:, ::-1])


def test_threats_agree_with_trying_every_move():
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(60):
        own, other = np.zeros((7, 6), bool), np.zeros((7, 6), bool)
        for column in rng.integers(0, 7, 24):  # full columns are passed over
            moved = dropped(own, other, column)
            own, other = (other, moved) if moved is not None else (own, other)
        moves = [dropped(own, other, column) for column in range(7)]
        expected = any(m is not None and four_by_search(m) for m in moves)
        own_bits, occupied = bitboard(own), bitboard(own | other)
        assert connect4.can_win(own_bits, occupied)[0] == expected
        for column, move in enumerate(moves):
            bit = 0 if move is None else bitboard(move & ~own)[0]
            assert connect4.drop(occupied, column)[0] == bit
        answers.append(expected)
    assert 0 < sum(answers) < len(answers)


def test_own_split_partitions_all_positions(own_split):
    data, _ = own_split
    assert data.name == "connect4/own_split" and data.kind == "binary" and not data.binarize
    assert [len(data.splits[s]["x"]) for s in ("train", "valid", "test")] == [16000, 4000, 47557]
    rows = np.concatenate([part["x"] for part in data.splits.values()])
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in connect4.positions()}


def test_own_split_never_changes(own_split):
    data, _ = own_split
    assert data.sha256["train"][:16] == "0a1f8a649881e366"
    assert data.sha256["valid"][:16] == "2e53ee7c165f37e8"
    assert data.sha256["test"][:16] == "803d5f1df80acc8c"


def test_prepared_split_opens_in_well_under_a_second(own_split):
    data, data_dir = own_split
    start = time.perf_counter()
    again = dataset.load("connect4", data_dir=data_dir)
    assert time.perf_counter() - start < 0.3
    assert again.sha256 == data.sha256
    assert isinstance(again.splits["test"]["x"], np.memmap)


def test_other_seeds_are_other_splits_of_the_same_rows():
    first, second = connect4.own_split(0), connect4.own_split(1)
    assert not np.array_equal(first["train"]["x"], second["train"]["x"])
    assert connect4.SOURCE.stored("own_split", 0) == "own_split"
    assert connect4.SOURCE.stored("own_split", 1) == "own_split_seed1"
    assert connect4.SOURCE.stored("nade_split", 1) == "nade_split"


def test_bare_name_takes_the_nade_split_where_its_file_is(tmp_path):
    (tmp_path / connect4.NADE_FILE).write_bytes(b"")
    assert connect4.SOURCE.default(tmp_path) == "nade_split"
    assert connect4.SOURCE.default(tmp_path / "elsewhere") == "own_split"
    assert connect4.SOURCE.default(None) == "own_split"


def test_nade_split_without_its_file_says_how_to_provide_it(tmp_path):
    with pytest.raises(ValueError) as error:
        dataset.load("connect4/nade_split", data_dir=tmp_path / "d", manual_dir=tmp_path)
    message = str(error.value)
    assert "uci_connect4.npz" in message and str(tmp_path) in message
    assert "python launch/prepare_data.py --dataset=connect4/nade_split" in message
    assert "\n" not in message


def test_nade_split_of_another_size_is_refused(tmp_path):
    np.savez(
        tmp_path / connect4.NADE_FILE,
        **dict.fromkeys(("train", "valid", "test"), np.ones((2, 126))),
    )
    with pytest.raises(
        ValueError, match=r"array 'train' has shape \(2, 126\), expected \[16000, 126\]"
    ):
        dataset.load("connect4", data_dir=tmp_path / "d", manual_dir=tmp_path)


@pytest.mark.realdata
def test_every_row_of_the_nade_split_is_generated(manual_dir, tmp_path):
    data = dataset.load("connect4", data_dir=tmp_path, manual_dir=manual_dir)
    assert data.name == "connect4/nade_split"
    rows = np.concatenate([part["x"] for part in data.splits.values()])
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in connect4.positions()}
    again = dataset.load("connect4/nade_split", data_dir=tmp_path)  # prepared: no file needed
    assert again.sha256 == data.sha256
