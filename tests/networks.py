"""Small DARNs with random weights, and the same distributions once more, unit by unit.

`Reference` shares no code with rlvm: it reads the parameters alone and computes one example at a
time, one unit after another, in the number type of the `xp` it is given (NumPy float64 or JAX).
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.models.darn import DARN

DATA_DIM = 4
SHAPES = {
    "one_layer": dict(stochastic_units=(3,), widths=((3,),)),
    "three_layers": dict(stochastic_units=(2, 1, 1), widths=((3,), (2,), ())),
    "autoregressive_encoder": dict(
        stochastic_units=(3,), widths=((3, 2),), autoregressive_encoder=True
    ),
    "skip": dict(
        stochastic_units=(1, 1, 2),
        widths=((2,), (2,), (2,)),
        autoregressive_encoder=True,
        skip=True,
    ),
    "factorial_visibles": dict(
        stochastic_units=(4,), widths=((3,),), autoregressive_visibles=False
    ),
}


@functools.cache
def network(name: str) -> tuple[DARN, dict]:
    """A module and random float32 parameters, kernels included (they start at zero)."""
    module = DARN(data_dim=DATA_DIM, **SHAPES[name])
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), {"x": jnp.zeros((1, DATA_DIM))}))
    draw = np.random.default_rng(len(name))
    with jax.ensure_compile_time_eval():  # whoever asks first may be tracing
        params = jax.tree.map(
            lambda leaf: jnp.asarray(draw.normal(0, 0.8, leaf.shape), jnp.float32), shapes["params"]
        )
    return module, params


def binary_vectors(units: int) -> np.ndarray:
    """All 2^units vectors of bits."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)))


def softplus(xp, a):
    return xp.logaddexp(0.0, a)


class Reference:
    """q(h|x), p(h) and p(x|h) of a DARN for single vectors x and h."""

    def __init__(self, module: DARN, params, xp=np):
        self.module, self.xp, self.params = module, xp, params
        if xp is np:
            self.params = jax.tree.map(lambda p: np.asarray(p, np.float64), params)

    def logits(self, node, features, value) -> list:
        """The logit of every unit j given value[:j], computed one unit at a time."""
        parameters = self.params[node]
        base = self._linear(parameters, features)
        kernel = parameters.get("AutoregressiveKernel_0", {}).get("kernel")
        out = []
        for j in range(len(base)):
            logit = base[j]
            if kernel is not None:
                for i in range(j):
                    logit = logit + value[i] * kernel[i, j]
            out.append(logit)
        return out

    def _linear(self, parameters, features):
        if features is None:
            return parameters["bias"]
        for k in range(len(parameters.get("MLP_0", {}))):
            layer = parameters["MLP_0"][f"Dense_{k}"]
            features = self.xp.tanh(features @ layer["kernel"] + layer["bias"])
        return features @ parameters["Dense_0"]["kernel"] + parameters["Dense_0"]["bias"]

    def layers(self, h) -> list:
        bounds = np.cumsum(self.module.stochastic_units)[:-1]
        return self.xp.split(h, bounds)

    def _features(self, nearest_first):
        return self.xp.concatenate(nearest_first) if self.module.skip else nearest_first[0]

    def encoder(self, layer: int, x, layers) -> tuple[str, object]:
        """(parameters' name, features) of q(layer | the layers below, x)."""
        return f"encoders_{layer}", self._features([*layers[:layer][::-1], x])

    def prior(self, layer: int, layers) -> tuple[str, object]:
        """(parameters' name, features) of p(layer | the layers above)."""
        above = layers[layer + 1 :]
        return f"priors_{layer}", self._features(above) if above else None

    def log_bernoulli(self, node, features, value):
        """sum_j v_j a_j - softplus(a_j)."""
        logits = self.logits(node, features, value)
        return sum(v * a - softplus(self.xp, a) for v, a in zip(value, logits, strict=True))

    def log_q(self, h, x):
        layers = self.layers(h)
        return sum(
            self.log_bernoulli(*self.encoder(k, x, layers), layers[k]) for k in range(len(layers))
        )

    def log_prior(self, h):
        layers = self.layers(h)
        return sum(
            self.log_bernoulli(*self.prior(k, layers), layers[k]) for k in range(len(layers))
        )

    def log_likelihood(self, x, h):
        return self.log_bernoulli("visibles", self._features(self.layers(h)), x)

    def lengths(self, h, x):
        """f(h) = -log p(x|h) - log p(h) + log q(h|x)."""
        return self.log_q(h, x) - self.log_prior(h) - self.log_likelihood(x, h)

    def log_prob(self, x) -> float:
        """log sum_h p(h) p(x|h)."""
        vectors = binary_vectors(sum(self.module.stochastic_units))
        joint = [self.log_prior(h) + self.log_likelihood(x, h) for h in vectors]
        return float(np.logaddexp.reduce(joint))


@functools.cache
def reference(name: str) -> Reference:
    """The float64 second implementation of a network."""
    return Reference(*network(name))


@functools.cache
def exact_table(name: str) -> np.ndarray:
    """log p(x) of all 2^D vectors x by brute force in float64."""
    return np.array([reference(name).log_prob(x) for x in binary_vectors(DATA_DIM)])


def batch_of(x) -> dict:
    """A batch dict of rows x [B, D] at step 0."""
    x = jnp.asarray(x, jnp.float32)
    return {"x": x, "mask": jnp.ones(len(x)), "step": jnp.zeros((), jnp.int32)}
