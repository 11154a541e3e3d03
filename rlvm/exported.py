"""Exported functions of a model: run them with jax and NumPy alone, where rlvm's stack is not.

jax.export reads its files with the package `flatbuffers`, which jax leaves to be installed. An
artefact is a zip file: `manifest.json` (what it is, its inputs and outputs, where the model comes
from), `function.bin` (a serialized `jax.export` of the function, with a symbolic batch) and
`variables.npz` (the parameters, its first arguments, in order).
"""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import export

FORMAT = "rlvm-export-v1"


class Exported:
    """A function of a trained model, as `launch/export.py` wrote it; `manifest` says what it is."""

    def __init__(self, manifest: Mapping[str, Any], function: bytes, variables: list[np.ndarray]):
        self.manifest, self._variables = manifest, variables
        self._call = jax.jit(export.deserialize(bytearray(function)).call)

    def __call__(self, inputs, seed: int = 0):
        """The function's value, one row for each example.

        `inputs` is the array `x` or a dict of the manifest's inputs; where the function has none
        (`sample`), it is the number of rows. Example i draws from the i-th key that `seed` splits
        into, as the methods of `rlvm.load(...)` do.
        """
        fields, size = self._read(inputs)
        keys = jax.random.split(jax.random.key(seed), size)
        values = self._call(self._variables, keys, fields)
        return values[0] if len(values) == 1 else dict(zip(self._outputs, values, strict=True))

    @property
    def _outputs(self) -> list[str]:
        return [output["name"] for output in self.manifest["outputs"]]

    def _read(self, inputs) -> tuple[list[np.ndarray], int]:
        """The inputs in the manifest's order, checked, and how many examples they hold."""
        expected, function = self.manifest["inputs"], self.manifest["function"]
        names = [field["name"] for field in expected]
        if not names:
            return [], int(inputs)
        given = dict(inputs) if isinstance(inputs, Mapping) else {"x": inputs}
        if sorted(given) != sorted(names):
            raise ValueError(f"'{function}' takes {sorted(names)}; it was given {sorted(given)}.")
        fields = [np.asarray(given[field["name"]], field["dtype"]) for field in expected]
        for field, value in zip(expected, fields, strict=True):
            if list(value.shape[1:]) != field["shape"][1:]:
                raise ValueError(
                    f"'{field['name']}' has shape {list(value.shape)}; expected {field['shape']}."
                )
        sizes = {len(value) for value in fields}
        if len(sizes) != 1:
            raise ValueError(f"The inputs hold {sorted(sizes)} examples; expected one number.")
        return fields, sizes.pop()


def load_exported(path: str | os.PathLike) -> Exported:
    """The function in the file that `launch/export.py` wrote."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no exported function: it is no zip file.")
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"{path} has format '{manifest['format']}'; expected '{FORMAT}'.")
        function = archive.read("function.bin")
        with np.load(io.BytesIO(archive.read("variables.npz"))) as stored:
            variables = [stored[f"v{k}"] for k in range(len(stored.files))]
    return Exported(manifest, function, variables)


def save_exported(
    path: str | os.PathLike,
    manifest: Mapping[str, Any],
    function: bytes,
    variables: list[np.ndarray],
) -> None:
    """Write an artefact."""
    arrays = io.BytesIO()
    np.savez_compressed(arrays, allow_pickle=False, **{f"v{k}": v for k, v in enumerate(variables)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps({"format": FORMAT, **manifest}, indent=1))
        archive.writestr("function.bin", function)
        archive.writestr("variables.npz", arrays.getvalue())
