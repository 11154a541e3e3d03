"""Export a function of a trained model: one file that runs without rlvm's stack.

Every function is (bound model, keys [b], batch) -> pytree, one row for each key.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from rlvm import exported
from rlvm.inference import likelihood
from rlvm.inference.estimators import detached
from rlvm.jobs import load as loading
from rlvm.jobs import workdir
from rlvm.types import Array, Batch, Density, LatentVariable, PyTree

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
OBSERVED = ("x", "u", "lengths")  # the fields of a batch that a function may ask for
CONTROLS = ("u",)

Function = Callable[[Any, Array, Batch], PyTree]


def sample(model, keys: Array, batch: Batch) -> Array:
    """Exact draws of x."""
    return loading.ancestral(model, keys, batch)


def encode(model: LatentVariable, keys: Array, batch: Batch) -> PyTree:
    """Draws of z from q(z | x)."""
    return model.posterior(batch).sample_with(detached, keys)[0]


def reconstruct(model: LatentVariable, keys: Array, batch: Batch) -> Array:
    """Draws of x' from p(x' | z) at draws of z from q(z | x)."""
    pair = jax.vmap(jax.random.split)(keys)
    z = encode(model, pair[:, 0], batch)
    return model.likelihood(z, batch).sample(pair[:, 1])


def make_log_prob(num_samples: int) -> Function:
    """log p(x) in nats: exact for a density, else importance sampling with S draws."""

    def log_prob(model, keys: Array, batch: Batch) -> Array:
        if not isinstance(model, LatentVariable):
            return model.log_prob(batch)
        return -likelihood.importance(model, batch, keys, num_samples)["nll"]

    return log_prob


def functions(num_samples: int) -> dict[str, tuple[Function, tuple[type, ...]]]:
    """The functions by name, and the kinds of model that have them."""
    return {
        "sample": (sample, (LatentVariable, Density)),
        "log_prob": (make_log_prob(num_samples), (LatentVariable, Density)),
        "encode": (encode, (LatentVariable,)),
        "reconstruct": (reconstruct, (LatentVariable,)),
    }


def export_function(
    model: loading.Model,
    name: str,
    output: str | os.PathLike,
    platforms: Sequence[str] = PLATFORMS,
    num_samples: int = 1000,
) -> dict[str, Any]:
    """Write the function `name` of a loaded model to `output`; returns the manifest."""
    function, fields = choose(model, name, num_samples), inputs(model, name)
    check_platforms(platforms)
    leaves, structure = jax.tree.flatten(model.variables)
    module, example = model.experiment.model, model.experiment.example

    def positional(leaves, keys, values):
        batch = {**zeros(example, keys.shape[0]), **dict(zip(fields, values, strict=True))}
        bound = module.bind(jax.tree.unflatten(structure, leaves))
        return jax.tree.leaves(function(bound, keys, batch))

    (size,) = export.symbolic_shape("b")
    arguments = (
        [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves],
        jax.ShapeDtypeStruct((size,), jax.random.key(0).dtype),
        [jax.ShapeDtypeStruct((size, *example[f].shape[1:]), example[f].dtype) for f in fields],
    )
    lowered = export.export(jax.jit(positional), platforms=list(platforms))(*arguments)
    bound = module.bind(model.variables)
    names = output_names(jax.eval_shape(lambda: function(bound, *example_arguments(model))))
    manifest = {
        **origin(model),
        "function": name,
        "num_samples": num_samples if name == "log_prob" else None,
        "platforms": list(platforms),
        "inputs": [describe(f, v) for f, v in zip(fields, arguments[2], strict=True)],
        "outputs": [describe(n, v) for n, v in zip(names, lowered.out_avals, strict=True)],
    }
    variables = [np.asarray(leaf) for leaf in leaves]
    exported.save_exported(output, manifest, bytes(lowered.serialize()), variables)
    return manifest


def choose(model: loading.Model, name: str, num_samples: int) -> Function:
    """The function by name, checked against what the model can do."""
    known = functions(num_samples)
    if name not in known:
        raise ValueError(f"No function '{name}'. Functions: {', '.join(known)}.")
    function, capabilities = known[name]
    module = model.experiment.model
    if not isinstance(module, capabilities):
        wanted = " or ".join(capability.__name__ for capability in capabilities)
        raise ValueError(f"'{name}' needs a {wanted}; {type(module).__name__} is none.")
    return function


def inputs(model: loading.Model, name: str) -> list[str]:
    """The fields of the data's batches that the function takes."""
    wanted = CONTROLS if name == "sample" else OBSERVED
    return [field for field in wanted if field in model.experiment.example]


def check_platforms(platforms: Sequence[str]) -> None:
    """Refuse a platform that XLA has not."""
    unknown = [platform for platform in platforms if platform not in PLATFORMS]
    if unknown or not platforms:
        raise ValueError(f"No platform {unknown}. Platforms: {', '.join(PLATFORMS)}.")


def zeros(example: Mapping[str, np.ndarray], size: int) -> dict[str, Array]:
    """A batch of `size` rows of zeros shaped like the example, none of them padding."""
    rows = {name: jnp.zeros((size, *v.shape[1:]), v.dtype) for name, v in example.items()}
    return {**rows, "mask": jnp.ones(size)}


def example_arguments(model: loading.Model) -> tuple[Array, Batch]:
    """Keys and a batch of two rows, for the names of the outputs."""
    return jax.random.split(jax.random.key(0), 2), zeros(model.experiment.example, 2)


def output_names(tree: PyTree) -> list[str]:
    """The fields' names, or 'value' for a single array."""
    paths = [path for path, _ in jax.tree.leaves_with_path(tree)]
    return [jax.tree_util.keystr(path).lstrip(".") or "value" for path in paths]


def describe(name: str, value) -> dict[str, Any]:
    """Name, shape and type for the manifest; the batch axis is 'b'."""
    return {"name": name, "shape": ["b", *value.shape[1:]], "dtype": str(value.dtype)}


def origin(model: loading.Model) -> dict[str, Any]:
    """Where the function comes from."""
    return {
        **model.origin,
        "dataset": model.data["name"],
        "data_sha256": model.data["sha256"],
        "kind": model.data["kind"],
        "commit": workdir.commit(),
        "versions": workdir.versions(),
    }
