"""Train again on train and validation together, by the schedule that validation led to.

The learning rate is halved, pieces cease to be transposed, and training ends, after as many epochs
as in the first run (appendices D.1 and D.2 of the Recurrent Ladder).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset
from rlvm.jobs import experiment as experiments
from rlvm.jobs import train, workdir
from rlvm.training import metrics
from rlvm.training.state import TrainState


def retrain(
    first: epath.PathLike,
    second: epath.PathLike,
    data_dir: epath.PathLike | None = None,
    manual_dir: epath.PathLike | None = None,
) -> TrainState:
    """Train a run like that of workdir `first` into `second`, on train and validation."""
    config = workdir.read_config(first)
    data = experiments.load_data(config, data_dir, manual_dir)
    again = settled(config, metrics.read(first), data)
    return train.train(again, second, data_dir, manual_dir)


def settled(config: ConfigDict, lines: Iterable[Mapping[str, Any]], data: Dataset) -> ConfigDict:
    """The config of the second run, from the first's validation values and its data."""
    key = f"valid/{config.objective.selects}"
    values = [(line["step"], line[key]) for line in lines if key in line]
    if not values:
        raise ValueError(f"The first run has no '{key}' in its metrics: let it validate once.")
    best = min(values, key=lambda pair: pair[1])[0]
    train_size, valid_size = (len(data.splits[name]["x"]) for name in ("train", "valid"))

    def later(step: int) -> int:
        """The step at which the longer split has been seen as often."""
        return round(step * (train_size + valid_size) / train_size)

    again = config.copy_and_resolve_references()
    with again.unlocked():
        again.data.with_validation = True
    halvings = halved_at(values, config.optimizer.least_scale)
    again.optimizer.halve_at = tuple(later(step) for step in halvings if step < best)
    again.optimizer.least_scale = 1.0
    again.objective.transpose_until = later(config.objective.transpose_until)
    again.train.num_steps = later(best)
    again.train.early_stopping_evals = 0
    return again


def halved_at(values: Iterable[tuple[int, float]], least_scale: float) -> list[int]:
    """The steps after which the rate was halved: where the value rose above its best."""
    steps, best, scale = [], float("inf"), 1.0
    for step, value in values:
        if value > best and scale > least_scale:
            steps.append(step)
            scale = max(scale / 2, least_scale)
        best = min(best, value)
    return steps
