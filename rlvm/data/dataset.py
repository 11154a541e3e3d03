"""Data sets by name, opened from a packed copy and prepared first where there is none.

`load("connect4/own_split", data_dir=D)` finds `rlvm/data/connect4.py` by its name (see
rlvm/data/source.py for what such a file defines), lets its TFDS builder write array_record files
under D, packs them into memory-mapped arrays beside these, and opens the packed copy:

    D/connect4/own_split/1.0.0/*.array_record*
    D/connect4/own_split/1.0.0/packed/train.x.npy ...

`load("arrays", path="my.npz", ...)` reads any file laid out as rlvm/data/arrays.py says.
"""

import dataclasses
import hashlib
import importlib.util
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from etils import epath

import rlvm.data
from rlvm.data import arrays, packed, remote
from rlvm.data.download import file_sha256
from rlvm.data.source import Files, Source

PathLike = str | os.PathLike
ARRAYS = "arrays"
PACKED = "packed"
ARRAYS_LAYOUT = 1  # raise it when rlvm/data/arrays.py reads a file differently


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Splits of arrays, memory-mapped, with the example first.

    `x` is uint8 [N, D] (0 and 1, or grey 0..255); sequences are [N, T, D], padded, with `lengths`
    int32 [N], and float32 where values are real or missing (NaN). `u` are controls, `y` labels.
    `kind` says what a batch holds: 'binary', 'grey' or 'real'. `binarize` means that x is stored
    grey and each batch draws x ~ Bernoulli(x/255) afresh.
    """

    name: str
    splits: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(repr=False)
    sha256: Mapping[str, str]
    kind: str
    binarize: bool

    def with_validation(self) -> "Dataset":
        """The same data with the validation split's examples behind those of train."""
        train, valid = self.splits["train"], self.splits["valid"]
        both = {name: _joined(train[name], valid[name]) for name in train}
        return dataclasses.replace(self, splits={**self.splits, "train": both})


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Both arrays' examples; sequences are padded to the longer of the two."""
    shape = np.maximum(first.shape[1:], second.shape[1:])

    def padded(array: np.ndarray) -> np.ndarray:
        edges = [(0, int(n - m)) for n, m in zip(shape, array.shape[1:], strict=True)]
        return np.pad(array, [(0, 0), *edges])

    return np.concatenate([padded(first), padded(second)])


def default_data_dir() -> str:
    """`$RLVM_DATA`, or a folder in the user's cache."""
    return os.environ.get("RLVM_DATA") or os.path.expanduser("~/.cache/rlvm/data")


def load(
    name: str,
    *,
    data_dir: PathLike,
    manual_dir: PathLike | None = None,
    path: PathLike = "",
    seed: int = 0,
    num_examples: int = 0,
    allow_missing: bool = False,
) -> Dataset:
    """Open the data set `name` ('connect4', 'mnist/static', ...), preparing it if need be.

    `data_dir` may be a URL of an object store, which then keeps what this machine works on a copy
    of. `manual_dir` holds files that the user provides; `path` is the `.npz` of name 'arrays',
    where `allow_missing` lets sequences hold NaN. `seed` chooses the content of sets drawn from it,
    `num_examples` the size of sets that are generated (0 leaves it to them).
    """
    store = None
    if remote.is_remote(data_dir):
        store, data_dir = remote.open_store(data_dir), remote.local_copies(data_dir)
    data_dir = _local(data_dir, "data_dir")
    if name == ARRAYS:
        return _open(_arrays_folder(path, data_dir, seed, allow_missing))
    manual_dir = _local(manual_dir, "manual_dir") if manual_dir else None
    base, _, variant = name.partition("/")
    source = _source(base)
    variant = _variant(base, source, variant, manual_dir)
    if num_examples and not source.variants[variant].sized:
        raise ValueError(
            f"num_examples is {num_examples}, but {_join(base, variant)} has a size of its own"
        )
    files = Files(_join(base, variant), data_dir, manual_dir, seed, num_examples)
    return _open(_source_folder(base, source, variant, files, store))


def names() -> list[str]:
    """All names that `load` knows, without their variants."""
    modules = (module.name for module in pkgutil.iter_modules(rlvm.data.__path__))
    return sorted([ARRAYS, *(name for name in modules if _find(name))])


def _find(base: str) -> Source | None:
    module = f"rlvm.data.{base}"
    if not base.isidentifier() or importlib.util.find_spec(module) is None:
        return None
    return getattr(importlib.import_module(module), "SOURCE", None)


def _source(base: str) -> Source:
    source = _find(base)
    if source is None:
        raise ValueError(f"No data set '{base}'. Data sets: {', '.join(names())}")
    return source


def _variant(base: str, source: Source, variant: str, manual_dir: Path | None) -> str:
    if not variant and source.default:
        variant = source.default(manual_dir)
    if variant not in source.variants:
        known = ", ".join(_join(base, name) for name in source.variants)
        raise ValueError(f"No data set '{_join(base, variant)}'. Of this set there are: {known}")
    return variant


def _join(base: str, variant: str) -> str:
    return f"{base}/{variant}" if variant else base


def _local(path: PathLike, flag: str) -> Path:
    if "://" in os.fspath(path):
        raise ValueError(f"{flag} {path} is not a local folder")
    return Path(path).expanduser()


def _source_folder(
    base: str, source: Source, variant: str, files: Files, store: epath.Path | None
) -> Path:
    """The packed copy of a builder's data set, fetched or prepared first where there is none."""
    stored = source.stored(variant, files.seed, files.num_examples)
    place = Path(base, stored, source.version)
    folder = files.data_dir / place
    if packed.is_whole(folder / PACKED):
        return folder / PACKED
    if store and (store / place / PACKED / packed.INDEX).exists():
        with packed.staging(files.data_dir) as staging:
            remote.copy(store / place, epath.Path(staging / "fetched"))
            packed.publish(staging / "fetched", folder, PACKED)
        return folder / PACKED
    _prepare(base, source, variant, files, folder)
    if store:
        remote.copy(epath.Path(folder), store / place)
    return folder / PACKED


def _prepare(base: str, source: Source, variant: str, files: Files, folder: Path) -> None:
    """Write the TFDS files of a data set and their packed copy into `folder`."""
    from rlvm.data import builder  # imports TFDS, which takes half a second

    stored = source.stored(variant, files.seed, files.num_examples)
    spec = source.variants[variant]
    with packed.staging(files.data_dir) as staging:
        made = builder.make(base, source, variant, files, staging)
        written = builder.prepare(made)
        packed.write(
            written / PACKED,
            builder.read_back(made),
            name=_join(base, stored),
            kind=spec.kind,
            binarize=spec.binarize,
        )
        packed.publish(written, folder, PACKED)


def _arrays_folder(path: PathLike, data_dir: Path, seed: int, allow_missing: bool) -> Path:
    """The packed copy of the user's file, keyed by the file's content and how it is read."""
    if not os.fspath(path):
        raise ValueError("data.path is empty: name the .npz file to read (--config.data.path=F)")
    path = _local(path, "data.path")
    if not path.is_file():
        raise ValueError(f"No file {path} (looked from {Path.cwd()})")
    key = f"{file_sha256(path)} {ARRAYS_LAYOUT} {seed} {allow_missing}".encode()
    folder = data_dir / ARRAYS / f"{path.stem}-{hashlib.sha256(key).hexdigest()[:16]}"
    if not packed.is_whole(folder):
        kind, splits = arrays.read(path, seed, allow_missing)
        with packed.staging(data_dir) as staging:
            name = f"{ARRAYS}/{path.stem}"
            packed.write(staging / "packed", splits, name=name, kind=kind, binarize=False)
            packed.publish(staging / "packed", folder)
    return folder


def _open(folder: Path) -> Dataset:
    return Dataset(**packed.read(folder))
