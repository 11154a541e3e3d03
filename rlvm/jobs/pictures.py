"""Images of a run for TensorBoard."""

from rlvm.data.dataset import Dataset
from rlvm.jobs import figures, ladder_figures
from rlvm.jobs.experiment import Experiment
from rlvm.jobs.load import Model
from rlvm.jobs.sample import beside_training
from rlvm.training.metrics import Log
from rlvm.training.state import TrainState
from rlvm.types import Predictor

NUM_SAMPLES = 16


def log_picture(log: Log, experiment: Experiment, state: TrainState, data: Dataset) -> None:
    """What the model does: samples beside their nearest training examples, frames or groups."""
    step = int(state.step)
    about = {"name": data.name, "kind": data.kind, "binarize": data.binarize}
    model = Model(experiment, state, f"latest:{step}", about)
    if isinstance(experiment.model, Predictor):
        name, figure = ladder_figures.picture(model, data, "valid")
    else:
        arrays = beside_training(model, data.splits["train"], NUM_SAMPLES, seed=0)
        name, figure = "samples", figures.samples_figure(arrays, data.name, data.kind)
    if name:
        log.image(step, name, figures.pixels(figure))
