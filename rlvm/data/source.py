"""What the file of a data set defines, and how it finds the files it is made from.

A data set `music` is the module `rlvm/data/music.py`, found by its name alone; it defines SOURCE:

    SOURCE = Source(
        version="1.0.0",                                   # raise it when the content changes
        description="Piano rolls, 88 keys a frame.",
        variants={"jsb": Variant("binary"), "nottingham": Variant("binary")},
        read=read,
    )

where `read(variant: str, files: Files) -> {split: {array: values}}` returns arrays whose first axis
is the example: `x` always, `lengths` for padded sequences, `u` for controls, `y` for labels. A set
without variants names its one variant "". Splits are `train`, `valid` and `test`.
"""

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Splits = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Files:
    """Where one preparation looks for files and keeps what it downloads.

    `seed` and `num_examples` are what the user wishes of a set that is generated; 0 examples leave
    their number to the set.
    """

    name: str
    data_dir: Path
    manual_dir: Path | None = None
    seed: int = 0
    num_examples: int = 0

    def manual(self, filename: str) -> Path | None:
        """The path of `filename` in manual_dir, None where it is not there."""
        path = self.manual_dir and self.manual_dir / filename
        return path if path and path.is_file() else None

    def require(self, filename: str) -> Path:
        """The path of `filename` in manual_dir, or the error that says how to provide it."""
        path = self.manual(filename)
        if path is None:
            raise self.missing(filename)
        return path

    def missing(self, filename: str, also: str = "") -> ValueError:
        """The error that names the file, where it was looked for and the command to run then."""
        if self.manual_dir:
            place, put = f"not in {self.manual_dir} (--manual_dir)", "Put it there"
        else:
            place, put = "no --manual_dir was given to look in", "Put it in a folder M"
        command = prepare_command(self.name, self.data_dir, self.manual_dir or "M")
        return ValueError(f"{self.name} needs {filename}: {place}{also}. {put} and run: {command}")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One configuration of a data set: what a batch of it holds.

    `kind` is 'binary', 'grey' or 'real'. `binarize` marks grey values x in 0..255 that become
    binary by x ~ Bernoulli(x/255), afresh for each batch. `seeded` marks content that depends on
    the seed, `sized` a set that can be generated with any number of examples.
    """

    kind: str
    binarize: bool = False
    seeded: bool = False
    sized: bool = False


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set: its variants and how each is read.

    `default(manual_dir)` picks the variant of a bare name; without it a set of several variants
    must be asked for with one.
    """

    version: str
    description: str
    variants: Mapping[str, Variant]
    read: Callable[[str, Files], Splits]
    default: Callable[[Path | None], str] | None = None

    def stored(self, variant: str, seed: int, num_examples: int = 0) -> str:
        """The name under which a variant is stored: it tells seeds other than 0 and sizes apart."""
        name, wanted = variant, self.variants[variant]
        if wanted.sized and num_examples:
            name += f"_{num_examples}"
        return f"{name}_seed{seed}" if wanted.seeded and seed else name


def prepare_command(name: str, data_dir: os.PathLike, manual_dir: os.PathLike | str | None) -> str:
    """The shell command that prepares a data set."""
    words = ["python", "launch/prepare_data.py", f"--dataset={name}", f"--data_dir={data_dir}"]
    if manual_dir is not None:
        words.append(f"--manual_dir={manual_dir}")
    return shlex.join(words)


def uniforms(bits: np.random.PCG64, shape: tuple[int, ...]) -> np.ndarray:
    """The next doubles in [0, 1) of `bits`, the same for all versions of NumPy.

    u = (r >> 11) / 2^53 for each raw 64-bit r of the generator.
    """
    raw = bits.random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)


def permutation(seed: int, size: int) -> np.ndarray:
    """The order of the first `size` uniforms of PCG64(seed): fixed for all versions of NumPy."""
    return np.argsort(uniforms(np.random.PCG64(seed), (size,)), kind="stable")
