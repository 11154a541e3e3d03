"""What a config leaves to the training data: the kind of emission, and the units of x."""

import logging
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

LOG = logging.getLogger(__name__)

START_OF_SCALE = 0.5  # of an emission's learned scale, in standard deviations of x


def fit(config: ConfigDict, kind: str, train: Mapping[str, np.ndarray]) -> ConfigDict:
    """`config.model` with its emission decided: Bernoulli for binary x, else Gaussian.

    Only where `emission_from_data` asks for it. For a Gaussian the networks see x standardised by
    the training split, and its scale starts at half a standard deviation of each dimension.
    """
    if not config.get("emission_from_data", False):
        return config
    config = ConfigDict(config.to_dict())
    if kind == "binary":
        config.emission.kind = "bernoulli"
        LOG.info("x is binary: the emission is Bernoulli.")
        return config.lock()
    mean, scale = moments(train)
    config.emission.kind = "gaussian"
    config.emission.scale = tuple((START_OF_SCALE * scale).tolist())
    config.observation_mean, config.observation_scale = tuple(mean.tolist()), tuple(scale.tolist())
    LOG.info("x is real: the emission is Gaussian, of scale '%s'.", config.emission.scale_kind)
    return config.lock()


def moments(train: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the observed values of each dimension: [D] each."""
    x = np.asarray(train["x"], np.float64)  # [N, T, D]
    lengths = train.get("lengths", np.full(len(x), x.shape[1]))
    x = np.where((np.arange(x.shape[1]) < lengths[:, None])[..., None], x, np.nan)
    unseen = np.isnan(x).all(axis=(0, 1))
    if unseen.any():
        raise ValueError(
            f"Dimension {int(np.argmax(unseen))} of x is missing (NaN) in the whole training split."
        )
    scale = np.nanstd(x, axis=(0, 1))
    return np.nanmean(x, axis=(0, 1)), np.where(scale > 0, scale, 1.0)
