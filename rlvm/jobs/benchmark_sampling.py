"""Blocked ancestral sampling against the unit-by-unit scan and an unhurried PyTorch sampler."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.jobs import benchmark as benchmarks
from rlvm.jobs import workdir
from rlvm.models.autoregressive import AutoregressiveBernoulli, hard_threshold, uniforms
from rlvm.types import Array

UNITS = (250, 500, 1000, 2000)
CHAINS = 4096


def distribution(units: int) -> AutoregressiveBernoulli:
    """Random biases, and a kernel whose sums stay of order one."""
    draw = np.random.default_rng(units)
    kernel = np.triu(draw.normal(0, 2 / np.sqrt(units), (units, units)), 1)
    bias = draw.normal(0, 1, units)
    return AutoregressiveBernoulli(jnp.asarray(bias, jnp.float32), jnp.asarray(kernel, jnp.float32))


def unit_by_unit(p: AutoregressiveBernoulli, noise: Array) -> Array:
    """The sampler without blocks: logit_j = b_j + h . W[:, j], one unit of all chains at a time."""

    kernel = jnp.asarray(p.kernel)

    def draw(h, j):
        column = jax.lax.dynamic_index_in_dim(kernel, j, axis=1, keepdims=False)
        value = hard_threshold(p.logits[j] + h @ column, noise[:, j])
        return h.at[:, j].set(value), None

    return jax.lax.scan(draw, jnp.zeros_like(noise), jnp.arange(p.units))[0]


def blocked(p: AutoregressiveBernoulli, noise: Array) -> Array:
    """The sampler that the zoo uses."""
    return p.sample_from(hard_threshold, noise)


def jitted(sampler: Callable, p: AutoregressiveBernoulli, chains: int) -> Callable[[int], None]:
    """A function that draws uniforms and samples `count` times."""
    keys = jax.random.split(jax.random.key(0), chains)
    draw = jax.jit(lambda p, keys: sampler(p, uniforms(keys, p.units)))

    def run(count: int) -> None:
        for _ in range(count):
            result = draw(p, keys)
        jax.block_until_ready(result)

    return run


def torch_draw(p: AutoregressiveBernoulli, chains: int) -> Callable:
    """`draw(noise)` in PyTorch, unit by unit, in memory that is kept; noise is [units, chains].

    Chains stand along the rows, so that a unit of all of them is contiguous; a unit's logit is a
    product of the units before it alone.
    """
    import torch

    kernel = np.array(p.kernel).T.copy()
    bias, weights = torch.from_numpy(np.array(p.logits)), torch.from_numpy(kernel)
    drawn, logit = torch.zeros(p.units, chains), torch.zeros(chains)

    @torch.no_grad()
    def draw(noise: torch.Tensor) -> torch.Tensor:
        for j in range(p.units):
            torch.mv(drawn[:j].T, weights[j, :j], out=logit)
            logit.add_(bias[j]).sigmoid_()
            torch.lt(noise[j], logit, out=drawn[j])
        return drawn

    return draw


def torch_run(p: AutoregressiveBernoulli, chains: int) -> Callable[[int], None]:
    """A function that draws uniforms and samples `count` times in PyTorch."""
    import torch

    draw, noise = torch_draw(p, chains), torch.empty(p.units, chains)

    def run(count: int) -> None:
        for _ in range(count):
            draw(noise.uniform_())

    return run


def differing_chains(p: AutoregressiveBernoulli, chains: int) -> dict[str, int]:
    """How many chains of the same uniforms differ from the unit-by-unit scan's at all."""
    import torch

    noise = uniforms(jax.random.split(jax.random.key(1), chains), p.units)
    expected = np.asarray(jax.jit(unit_by_unit)(p, noise))
    ours = np.asarray(jax.jit(blocked)(p, noise))
    theirs = torch_draw(p, chains)(torch.from_numpy(np.array(noise.T))).numpy().T
    found = {"blocked": ours, "torch": theirs}
    return {name: int((draws != expected).any(axis=1).sum()) for name, draws in found.items()}


def against_each_other(units: int, chains: int, count: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a draw of all chains, uniforms included, interleaved."""
    p = distribution(units)
    rows: dict[str, Callable[[int], Any]] = {
        "blocked": jitted(blocked, p, chains),
        "unit_by_unit": jitted(unit_by_unit, p, chains),
        "torch": torch_run(p, chains),
    }
    times = benchmarks.interleaved(rows, count, rounds)
    base = np.array(times["blocked"])
    return {
        "milliseconds": {name: benchmarks.quartiles(values) for name, values in times.items()},
        "unit_by_unit_over_blocked": benchmarks.quartiles(
            list(np.array(times["unit_by_unit"]) / base)
        ),
        "torch_over_blocked": benchmarks.quartiles(list(np.array(times["torch"]) / base)),
        "differing_chains": differing_chains(p, chains),
    }


def benchmark_sampling(
    units: tuple[int, ...] = UNITS, chains: int = CHAINS, count: int = 2, rounds: int = 7
) -> dict[str, Any]:
    """4096 chains of 250 to 2000 units."""
    return {
        "suite": "sampling",
        "chains": chains,
        **{f"units_{n}": against_each_other(n, chains, count, rounds) for n in units},
        "rounds": rounds,
        "draws_per_round": count,
        "hardware": workdir.hardware(),
        "versions": workdir.versions(),
    }
