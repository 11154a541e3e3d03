"""The TFDS builder of a data set, written and read without TensorFlow (array_record files).

The one module of the room that imports tensorflow_datasets, which costs half a second: it is
imported when a set is prepared, never when a prepared one is opened.
"""

import contextlib
import functools
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging as absl_logging

from rlvm.data.source import Files, Source, Splits

LOG = logging.getLogger(__name__)

CHUNK = 4096


class ArraysBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A set whose splits are arrays with the example first; examples keep their order."""

    SOURCE: Source

    def __init__(self, *, variant: str, files: Files, **kwargs: Any):
        self._variant, self._files = variant, files
        super().__init__(**kwargs)

    @functools.cached_property
    def arrays(self) -> Splits:
        """The set as its source reads it; every complaint about a file is raised here."""
        return self.SOURCE.read(self._variant, self._files)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.SOURCE.description,
            features=tfds.features.FeaturesDict(_features(self.arrays)),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {name: self._generate_examples(part) for name, part in self.arrays.items()}

    def _generate_examples(self, part: Mapping[str, np.ndarray]) -> Iterator[tuple[int, dict]]:
        for i in range(len(part["x"])):
            yield i, {name: array[i] for name, array in part.items()}


def _features(splits: Splits) -> dict[str, tfds.features.Tensor]:
    """One tensor per array; an axis whose size differs between splits is left open."""
    features = {}
    for name, first in next(iter(splits.values())).items():
        shapes = {part[name].shape[1:] for part in splits.values()}
        shape = tuple(
            sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes, strict=True)
        )
        features[name] = tfds.features.Tensor(shape=shape, dtype=first.dtype)
    return features


def make(name: str, source: Source, variant: str, files: Files, data_dir: Path) -> ArraysBuilder:
    """The builder of `name` whose files go under `data_dir`; `variant` may be ''."""
    stored = source.stored(variant, files.seed, files.num_examples)
    attributes = {
        "SOURCE": source,
        "VERSION": tfds.core.Version(source.version),
        "BUILDER_CONFIGS": [tfds.core.BuilderConfig(name=stored)] if stored else [],
        "name": name,
    }
    cls = type(name.title().replace("_", ""), (ArraysBuilder,), attributes, skip_registration=True)
    return cls(
        variant=variant,
        files=files,
        data_dir=data_dir,
        config=stored or None,
        file_format="array_record",
    )


def prepare(builder: ArraysBuilder) -> Path:
    """Write the TFDS files and return their folder."""
    LOG.info("Preparing %s (once)", builder.info.full_name)
    with _quiet():
        builder.download_and_prepare()
    return Path(builder.data_dir)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TFDS's progress bars, prints and log lines to itself."""
    tfds.disable_progress_bar()
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl_logging.set_verbosity(verbosity)


def read_back(builder: ArraysBuilder) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of all splits as the written TFDS files hold them."""
    return {split: _columns(builder, split) for split in builder.info.splits}


def _columns(builder: ArraysBuilder, split: str) -> dict[str, np.ndarray]:
    rows = builder.as_data_source(split=split)
    dtypes = {name: f.np_dtype for name, f in builder.info.features.items()}  # scalars come wider
    chunks = []
    for start in range(0, len(rows), CHUNK):
        examples = rows.__getitems__(list(range(start, min(start + CHUNK, len(rows)))))
        chunks.append({name: np.stack([e[name] for e in examples]) for name in examples[0]})
    return {name: np.concatenate([c[name] for c in chunks]).astype(dtypes[name]) for name in dtypes}
