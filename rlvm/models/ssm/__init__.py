"""State-space models: transition, emission, conditioning, inference network, paths, model."""

from rlvm.models.ssm.conditioning import PRESETS, Conditioning, preset
from rlvm.models.ssm.from_data import fit
from rlvm.models.ssm.model import StateSpaceModel, build
from rlvm.models.ssm.paths import Moments, Path

__all__ = [
    "PRESETS",
    "Conditioning",
    "Moments",
    "Path",
    "StateSpaceModel",
    "build",
    "fit",
    "preset",
]
