"""Counted guards of the compiled step: traces, transfers, donation, operations."""

import json
import pathlib

import jax
import jax.numpy as jnp
import pytest
import runs

from rlvm.training.state import after_validation

RECORD = pathlib.Path(__file__).parent / "golden" / "flops.json"
MODES = ["jit", "pmap", "sharded"]


@pytest.fixture(scope="module", params=MODES)
def run(request):
    """A run in each mode, its step counting how often it is traced."""
    traces = []

    def counted(step):
        def traced(state, batch, *more):
            traces.append(batch["x"].shape)
            return step(state, batch, *more)

        return traced

    made = runs.start(runs.small_config(), mode=request.param, step_wrapper=counted)
    made.steps(1)
    made.traces, made.traces_of_first_dispatch = traces, len(traces)
    return made


def test_one_trace_and_one_compilation_for_any_dispatch(run):
    run.steps(3, 1, 2, 7)
    plain = run.parallel.collect(run.state)
    run.state = run.parallel.place(after_validation(plain, jnp.float32(1.0)))
    run.steps(2)
    assert len(run.traces) == run.traces_of_first_dispatch
    if run.parallel.mode != "pmap":
        assert run.parallel._run._cache_size() == 1


def test_no_host_transfer_in_a_dispatch(run):
    inputs = run.parallel.place(run.source.inputs(0, 1))
    count = jax.device_put(jnp.int32(2))
    if run.parallel.mode == "sharded":
        count = jax.device_put(count, run.parallel.replicated)
    if run.parallel.mode != "pmap":  # pmap itself spreads its broadcast arguments
        with jax.transfer_guard("disallow"):
            run.state, _ = run.parallel._run(run.state, inputs, count)
    text = run.parallel.lower(run.state, run.source.inputs(0, 1)).as_text()
    for word in ("callback", "infeed", "outfeed", "send", "recv"):
        assert f"{word}" not in text.lower(), word


def test_the_state_is_donated(run):
    before = run.state
    run.steps(1)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.params))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.opt_state))


def test_operations_per_step_are_as_recorded(request):
    made = runs.start(runs.small_config())
    compiled = made.parallel.lower(made.state, made.source.inputs(0, 1)).compile()
    flops = compiled.cost_analysis()["flops"]
    if request.config.getoption("--regenerate-golden"):
        RECORD.write_text(json.dumps({"small DARN": flops}) + "\n")
    recorded = json.loads(RECORD.read_text())["small DARN"]
    assert flops == pytest.approx(recorded, rel=0.05)
