"""Fields of a config that a model leaves to its training data, decided once before a run."""

import importlib
import importlib.util

from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset


def fit(config: ConfigDict, data: Dataset) -> ConfigDict:
    """`config` with what `fit` of its model's module decides from the training split, if any."""
    name = f"rlvm.models.{config.model.name}"
    if not importlib.util.find_spec(name):
        return config  # build_model says which models there are
    module = importlib.import_module(name)
    if not hasattr(module, "fit"):
        return config
    fitted = ConfigDict({**config.to_dict(), "model": {}})
    fitted.model = module.fit(config.model, data.kind, data.splits["train"])
    return fitted.lock()
