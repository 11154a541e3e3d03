import zipfile

import numpy as np
import pytest

from rlvm.data import npz


def complaint(path, *args, **kwargs):
    with pytest.raises(ValueError) as error:
        npz.splits(path, *args, **kwargs)
    message = str(error.value)
    assert "\n" not in message and str(path) in message
    return message


def save(folder, **arrays):
    path = folder / "data.npz"
    np.savez_compressed(path, **arrays)
    return path


def splits(**changed):
    return {name: np.eye(4, 3, dtype=np.uint8) for name in ("train", "valid", "test")} | changed


def test_reads_whole_splits(tmp_path):
    read = npz.splits(save(tmp_path, **splits(train=np.eye(5, 3, dtype=bool))))
    np.testing.assert_array_equal(read["train"]["x"], np.eye(5, 3))
    assert all(part["x"].dtype == np.uint8 for part in read.values())


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_truncated(tmp_path, keep):
    path = save(tmp_path, **splits(train=np.random.default_rng(0).integers(0, 2, (99, 3))))
    path.write_bytes(path.read_bytes()[:keep])
    assert "not a whole .npz file" in complaint(path)


def test_damaged_member(tmp_path):
    path = save(tmp_path, **splits(train=np.random.default_rng(0).integers(0, 2, (999, 3))))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        start = file.getinfo("train.npy").header_offset
    content[start + 150 : start + 180] = bytes(30)
    path.write_bytes(content)
    assert "array 'train' cannot be read (damaged?)" in complaint(path)


def test_member_that_is_no_array(tmp_path):
    path = save(tmp_path, **splits())
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("notes.txt", "hello")
    assert "'notes.txt' is not a NumPy array" in complaint(path)


def test_pickled(tmp_path):
    path = save(tmp_path, **splits(valid=np.array([{"a": 1}, None])))
    assert "array 'valid' holds pickled Python objects" in complaint(path)


def test_text(tmp_path):
    assert "array 'test' holds <U1" in complaint(save(tmp_path, **splits(test=np.array([["a"]]))))


def test_missing_array_lists_what_there_is(tmp_path):
    message = complaint(save(tmp_path, x_train=np.eye(2), y_train=np.ones(2)))
    assert "no array 'train', 'valid', 'test'. Arrays: x_train, y_train" in message


def test_missing_file(tmp_path):
    assert complaint(tmp_path / "no.npz").startswith("No file")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.full((4, 3), 0.5), "array 'valid' holds 0.5, expected 0 and 1 (range 0.5 to 0.5)"),
        (np.eye(4, 3) * 255, "array 'valid' holds 0 and 255, expected 0 and 1: save array // 255"),
        (np.where(np.eye(4, 3), np.nan, 0), "array 'valid' holds 3 NaN, expected 0 and 1"),
        (np.eye(4, 3, dtype=int) * -1, "array 'valid' holds -1, expected 0 and 1"),
        (np.eye(4), "array 'valid' has shape (4, 4), expected [1 or more, 3]"),
        (np.zeros((0, 3)), "array 'valid' has shape (0, 3), expected [1 or more, 3]"),
        (np.zeros(3), "array 'valid' has shape (3,), expected [1 or more, 3]"),
    ],
)
def test_wrong_values(tmp_path, array, says):
    assert says in complaint(save(tmp_path, **splits(valid=array)))


def test_scalar_and_given_width(tmp_path):
    assert "array 'train' has shape ()" in complaint(save(tmp_path, **splits(train=np.ones(()))))
    assert "expected [1 or more, 7]" in complaint(save(tmp_path, **splits()), width=7)
