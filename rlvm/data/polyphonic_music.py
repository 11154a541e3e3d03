"""Polyphonic music as piano rolls [N, T, 88] with lengths: key 0 is MIDI note 21, A0.

The four sets and splits of Boulanger-Lewandowski et al. (2012): `polyphonic_music/jsb_chorales`,
`/nottingham`, `/muse_data`, `/piano_midi`. Read from manual_dir, the first that is there of

- `polyphonic_<set>.npz`: arrays {train,valid,test} [total frames, 88] and {..}_lengths;
- the official pickle ("JSB Chorales.pickle", ...): {split: [sequence of frames of MIDI notes]};
- the `.mat` file other code bases hand around: traindata, validdata, testdata, a cell a sequence.

A pickle can run code when it is read; ours refuses to look up any name, so only numbers, strings
and containers pass.
"""

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import scipy.io

from rlvm.data import npz, source
from rlvm.data.arrays import pad

NUM_KEYS, LOWEST_NOTE = 88, 21
SPLITS = ("train", "valid", "test")
FILES = {  # official pickle, .mat file
    "jsb_chorales": ("JSB Chorales.pickle", "JSB_Chorales.mat"),
    "nottingham": ("Nottingham.pickle", "Nottingham.mat"),
    "muse_data": ("MuseData.pickle", "MuseData.mat"),
    "piano_midi": ("Piano-midi.de.pickle", "Piano_midi.mat"),
}


def read(variant: str, files: source.Files) -> source.Splits:
    """The splits of one of the four sets."""
    as_npz, (as_pickle, as_mat) = f"polyphonic_{variant}.npz", FILES[variant]
    if path := files.manual(as_npz):
        return read_npz(path)
    if path := files.manual(as_pickle):
        return read_pickle(path)
    if path := files.manual(as_mat):
        return read_mat(path)
    raise files.missing(as_npz, f", as also {as_pickle} and {as_mat}")


def read_npz(path: Path) -> source.Splits:
    """Splits of the `.npz` layout."""
    arrays = npz.read(path, [*SPLITS, *(f"{name}_lengths" for name in SPLITS)])
    splits = {}
    for name in SPLITS:
        frames = npz.binary(path, name, npz.expect(path, name, arrays[name], (None, NUM_KEYS)))
        lengths = _lengths(path, name, arrays[f"{name}_lengths"])
        if lengths.sum() != len(frames):
            raise ValueError(
                f"{path}: '{name}_lengths' sums to {lengths.sum()}, but '{name}' has "
                f"{len(frames)} frames"
            )
        splits[name] = {"x": pad(frames, lengths), "lengths": lengths}
    return splits


def read_pickle(path: Path) -> source.Splits:
    """Splits of an official pickle."""
    content = load_plain(path)
    if not isinstance(content, dict) or not all(name in content for name in SPLITS):
        raise ValueError(f"{path}: expected a dict with the splits {', '.join(SPLITS)}")
    return {name: _padded(path, name, _rolls(path, name, content[name])) for name in SPLITS}


def read_mat(path: Path) -> source.Splits:
    """Splits of a MATLAB file."""
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as a MATLAB file (damaged?)") from error
    splits = {}
    for name in SPLITS:
        if f"{name}data" not in content:
            raise ValueError(f"{path}: no array '{name}data'")
        cells = [np.asarray(cell) for cell in content[f"{name}data"].ravel()]
        for cell in cells:
            if cell.ndim != 2 or cell.shape[1] != NUM_KEYS:
                raise ValueError(
                    f"{path}: a sequence of '{name}data' has shape {cell.shape}, expected [T, 88]"
                )
            npz.binary(path, f"{name}data", cell)
        splits[name] = _padded(path, name, cells)
    return splits


class PlainUnpickler(pickle.Unpickler):
    """Unpickles numbers, strings and containers; a name to be imported is an error."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse whatever the pickle wants to import."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load_plain(path: Path) -> Any:
    """The content of a pickle without code in it."""
    try:
        return PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: not a pickle of plain numbers, {error}; it was not run"
        ) from error
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as a pickle (damaged?)") from error


def _rolls(path: Path, name: str, sequences: Any) -> list[np.ndarray]:
    """Each sequence of tuples of MIDI notes as a roll [T, 88]."""
    rolls = []
    try:
        for sequence in sequences:
            roll = np.zeros((len(sequence), NUM_KEYS), np.uint8)
            for frame, notes in zip(roll, sequence, strict=True):
                keys = np.asarray(notes, int) - LOWEST_NOTE
                if keys.size and not 0 <= keys.min() <= keys.max() < NUM_KEYS:
                    wrong = keys[(keys < 0) | (keys >= NUM_KEYS)][0] + LOWEST_NOTE
                    raise ValueError(f"{path}: '{name}' holds note {wrong}, expected 21 to 108")
                frame[keys] = 1
            rolls.append(roll)
    except TypeError as error:
        raise ValueError(f"{path}: '{name}' is not a list of lists of tuples of notes") from error
    return rolls


def _padded(path: Path, name: str, rolls: list[np.ndarray]) -> dict[str, np.ndarray]:
    lengths = _lengths(path, name, np.array([len(roll) for roll in rolls], np.int32))
    frames = np.concatenate(rolls).astype(np.uint8)
    return {"x": pad(frames, lengths), "lengths": lengths}


def _lengths(path: Path, name: str, lengths: np.ndarray) -> np.ndarray:
    if lengths.ndim != 1 or not lengths.size or lengths.dtype.kind not in "iu":
        raise ValueError(f"{path}: '{name}' needs the lengths [N] of at least one sequence")
    if lengths.min() < 1:
        raise ValueError(f"{path}: '{name}' has a sequence of length {lengths.min()}")
    return lengths.astype(np.int32)


SOURCE = source.Source(
    version="1.0.0",
    description="Piano rolls, 88 keys a frame (Boulanger-Lewandowski et al. 2012).",
    variants={name: source.Variant("binary") for name in FILES},
    read=read,
)
