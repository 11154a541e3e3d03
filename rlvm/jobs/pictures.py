"""Images of a run for TensorBoard."""

from rlvm.data.dataset import Dataset
from rlvm.jobs import figures
from rlvm.jobs.experiment import Experiment
from rlvm.jobs.load import Model
from rlvm.jobs.sample import beside_training
from rlvm.training.metrics import Log
from rlvm.training.state import TrainState
from rlvm.types import Predictor

NUM_SAMPLES = 16


def log_samples(log: Log, experiment: Experiment, state: TrainState, data: Dataset) -> None:
    """Samples beside their nearest training examples, of a model that has samples."""
    if isinstance(experiment.model, Predictor):
        return
    step = int(state.step)
    about = {"name": data.name, "kind": data.kind, "binarize": data.binarize}
    model = Model(experiment, state, f"latest:{step}", about)
    arrays = beside_training(model, data.splits["train"], NUM_SAMPLES, seed=0)
    figure = figures.samples_figure(arrays, data.name, data.kind)
    log.image(step, "samples", figures.pixels(figure))
