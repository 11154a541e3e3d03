import pickle

import numpy as np
import pytest
import scipy.io

from rlvm.data import dataset, polyphonic_music
from rlvm.data.source import Files

RNG = np.random.default_rng(0)
NOTES = {
    "train": [[(21, 60), (), (108,)], [(60, 64, 67)]],
    "valid": [[(30,), (31,)]],
    "test": [[(40,)], [(41,), (42,), (43, 44)]],
}


def rolls(sequences):
    made = [np.zeros((len(sequence), 88), np.uint8) for sequence in sequences]
    for roll, sequence in zip(made, sequences, strict=True):
        for frame, notes in enumerate(sequence):
            for note in notes:
                roll[frame, note - 21] = 1
    return made


def write_npz(folder, **changes):
    arrays = {name: np.concatenate(rolls(NOTES[name])) for name in NOTES}
    arrays |= {f"{name}_lengths": np.array([len(s) for s in NOTES[name]]) for name in NOTES}
    np.savez(folder / "polyphonic_jsb_chorales.npz", **(arrays | changes))


def write_pickle(folder, content=NOTES):
    with open(folder / "JSB Chorales.pickle", "wb") as file:
        pickle.dump(content, file, protocol=0)


def write_mat(folder):
    cells = {}
    for name in NOTES:
        cells[f"{name}data"] = np.empty((1, len(NOTES[name])), object)
        for i, roll in enumerate(rolls(NOTES[name])):
            cells[f"{name}data"][0, i] = roll.astype(float)
    scipy.io.savemat(folder / "JSB_Chorales.mat", cells)


def read(folder):
    return polyphonic_music.read("jsb_chorales", Files("polyphonic_music", folder, folder))


@pytest.mark.parametrize("write", [write_npz, write_pickle, write_mat])
def test_three_layouts_hold_the_same_music(tmp_path, write):
    write(tmp_path)
    splits = read(tmp_path)
    for name, sequences in NOTES.items():
        lengths = [len(sequence) for sequence in sequences]
        np.testing.assert_array_equal(splits[name]["lengths"], lengths)
        assert splits[name]["x"].shape == (len(lengths), max(lengths), 88)
        for x, roll in zip(splits[name]["x"], rolls(sequences), strict=True):
            np.testing.assert_array_equal(x[: len(roll)], roll)
            assert not x[len(roll) :].any()


def test_opens_by_name(tmp_path):
    write_npz(tmp_path)
    data = dataset.load("polyphonic_music/jsb_chorales", data_dir=tmp_path, manual_dir=tmp_path)
    assert data.kind == "binary" and data.splits["test"]["x"].shape == (2, 3, 88)


class Bomb:
    def __reduce__(self):
        return print, ("the pickle ran",)


def test_a_pickle_with_code_is_not_run(tmp_path, capsys):
    write_pickle(tmp_path, {**NOTES, "train": [Bomb()]})
    with pytest.raises(ValueError, match=r"asks for .*print; it was not run"):
        read(tmp_path)
    assert "the pickle ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": NOTES["train"]}, "expected a dict with the splits"),
        ({**NOTES, "train": [[(20,)]]}, "holds note 20, expected 21 to 108"),
        ({**NOTES, "train": [[(109,)]]}, "holds note 109"),
        ({**NOTES, "valid": [[]]}, "'valid' has a sequence of length 0"),
        ({**NOTES, "valid": []}, "at least one sequence"),
        ({**NOTES, "test": [3]}, "not a list of lists"),
    ],
)
def test_bad_pickles_are_one_line(tmp_path, content, message):
    write_pickle(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_lengths": np.array([3, 0, 1])}, "sequence of length 0"),
        ({"train_lengths": np.array([3, 2])}, "sums to 5, but 'train' has 4 frames"),
        ({"valid": np.full((2, 88), 2)}, "array 'valid' holds 2"),
        ({"test": np.zeros((4, 87))}, "has shape"),
    ],
)
def test_bad_arrays_are_one_line(tmp_path, changes, message):
    write_npz(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["JSB Chorales.pickle", "JSB_Chorales.mat"])
def test_damaged_files_are_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04junk")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"polyphonic_jsb_chorales\.npz.*JSB Chorales\.pickle"):
        read(tmp_path)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "counts"), [("jsb_chorales", (229, 76, 77)), ("nottingham", (694, 173, 170))]
)
def test_real_files(manual_dir, name, counts):
    splits = polyphonic_music.read(name, Files("polyphonic_music", manual_dir, manual_dir))
    assert tuple(len(splits[s]["lengths"]) for s in ("train", "valid", "test")) == counts
