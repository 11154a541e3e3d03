"""Every experiment of configs/**, found by its file, and one small one of each model."""

import functools
import pathlib

from rlvm.jobs import config as configs

ROOT = pathlib.Path(__file__).parents[1] / "configs"
PATHS = sorted(
    path for path in ROOT.glob("*/*.py") if path.stem != "__init__" and path.parent.name != "sweeps"
)
NAMES = [str(path.relative_to(ROOT).with_suffix("")) for path in PATHS]


@functools.cache
def full(name: str):
    """The experiment as the file describes it without an argument."""
    return configs.load(str(ROOT / f"{name}.py")).copy_and_resolve_references()


@functools.cache
def tiny(name: str):
    """The same experiment with at most 10,000 parameters, eight examples a batch."""
    module = configs.module(str(ROOT / f"{name}.py"))
    if not hasattr(module, "tiny"):
        raise AttributeError(f"configs/{name}.py defines no tiny()")
    config = module.tiny().copy_and_resolve_references()
    config.train.batch_size = 8
    config.train.num_steps = 100
    config.train.steps_per_dispatch = 2
    return config


def _one_of_each_model() -> list[str]:
    chosen: dict[str, str] = {}
    for name in NAMES:
        chosen.setdefault(full(name).model.name, name)
    return list(chosen.values())


ONE_OF_EACH_MODEL = _one_of_each_model()
