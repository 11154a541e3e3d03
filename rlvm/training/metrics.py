"""What a run reports: JSON lines, TensorBoard scalars, and the evaluation schema."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

SCHEMA = "rlvm-evaluation-v1"
NUMBER, INTEGER, TEXT = (int, float), int, str
# field: (type, may be null)
FIELDS: dict[str, tuple[Any, bool]] = {
    "schema": (TEXT, False),
    "dataset": (TEXT, False),
    "split": (TEXT, False),
    "data_sha256": (TEXT, False),
    "model": (TEXT, False),
    "config": (dict, False),
    "config_sha256": (TEXT, False),
    "seed": (INTEGER, False),
    "step": (INTEGER, False),
    "checkpoint": (TEXT, False),
    "params": (INTEGER, False),
    "estimator": (TEXT, False),
    "num_examples": (INTEGER, False),
    "num_steps": (INTEGER, True),
    "num_samples": (INTEGER, True),
    "repeats": (INTEGER, True),
    "nll_nats": (NUMBER, True),
    "nll_nats_mc95": (list, True),
    "nll_nats_test_se": (NUMBER, True),
    "bound_nats": (NUMBER, True),
    "distortion_nats": (NUMBER, True),
    "rate_nats": (NUMBER, True),
    "bits_per_dim": (NUMBER, True),
    "nll_nats_per_step": (NUMBER, True),
    "bound_nats_per_step": (NUMBER, True),
    "extra": (dict, False),
    "seconds": (NUMBER, False),
    "train_seconds": (NUMBER, True),
    "hardware": (TEXT, False),
    "commit": (TEXT, True),
    "versions": (dict, False),
}


def validate(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check an evaluation's JSON object against schema v1; returns it."""
    wrong = sorted({*FIELDS} ^ {*result})
    if wrong:
        raise ValueError(f"Evaluation has missing or unknown fields {wrong}; schema is {SCHEMA}.")
    for name, (kind, nullable) in FIELDS.items():
        value = result[name]
        if value is None and nullable:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"Evaluation field '{name}' is {value!r}; expected {kind}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"Evaluation field '{name}' is {value}; expected a finite number.")
    if result["schema"] != SCHEMA:
        raise ValueError(f"Evaluation schema is '{result['schema']}'; expected '{SCHEMA}'.")
    return result


def bits_per_dim(nats: float, dims: int) -> float:
    """Nats per example as bits per dimension."""
    return nats / math.log(2) / dims


class Log:
    """`metrics.jsonl` and TensorBoard events in a folder; of many processes one `writes`."""

    def __init__(self, workdir: epath.Path, step: int, writes: bool = True):
        self._path, self._writes = workdir / "metrics.jsonl", writes
        self._lines = [line for line in read(workdir) if line["step"] <= step]
        if not writes:
            return
        text = "".join(json.dumps(line) + "\n" for line in self._lines)
        self._path.write_text(text)
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(workdir / "tensorboard"), flush_secs=30)

    @property
    def seconds(self) -> float:
        """Training seconds so far, over all invocations."""
        return self._lines[-1]["seconds"] if self._lines else 0.0

    def write(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Append one line and its scalars."""
        if not self._writes:
            return
        line = {"step": step, "seconds": round(seconds, 3), **values}
        self._lines.append(line)
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """An image [H, W, 3] of bytes among the events."""
        if self._writes:
            self._writer.add_image(name, pixels, step, dataformats="HWC")

    def flush(self) -> None:
        """Bring the files up to date."""
        if self._writes:
            self._writer.flush()

    def close(self) -> None:
        """Flush the events."""
        if self._writes:
            self._writer.close()


def read(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`; a last line cut short by a kill is left out."""
    path = epath.Path(workdir) / "metrics.jsonl"
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines
