"""Exported functions give what the model they come from gives."""

import ast
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
import runs

import rlvm
from rlvm import exported
from rlvm.inference.estimators import detached
from rlvm.jobs import config as configs
from rlvm.jobs import experiment as experiments
from rlvm.jobs import export
from rlvm.jobs.load import Model, ancestral

ROOT = pathlib.Path(__file__).parents[2]
ROWS = 5


def untrained(config, example) -> Model:
    """A model with random weights, as `rlvm.load` would give it."""
    experiment = experiments.build(config, {**example, "mask": np.ones(2, np.float32)})
    state, rng = experiment.initial_state(), np.random.default_rng(0)
    noisy = jax.tree.map(
        lambda leaf: np.asarray(leaf + 0.3 * rng.normal(size=leaf.shape), np.float32), state.params
    )
    state = state.replace(params=noisy, ema=noisy if state.ema else {})
    data = {"name": "made", "kind": "binary", "sha256": {"train": "0"}, "example": example}
    return Model(experiment, state, "best:0", data)


@pytest.fixture(scope="module")
def darn():
    return untrained(runs.small_config(), {"x": np.zeros((2, 6), np.float32)})


@pytest.fixture(scope="module")
def controlled():
    """A state-space model with controls."""
    config = configs.module("ssm/row_mnist").tiny()
    example = {"x": np.zeros((2, 4, 3), np.float32), "u": np.zeros((2, 4, 1), np.float32)}
    return untrained(config, example)


@pytest.fixture
def bits():
    return (np.random.default_rng(1).random((ROWS, 6)) < 0.5).astype(np.float32)


def through_file(model, name, path, platforms=("cpu",), num_samples=20):
    export.export_function(model, name, path, platforms, num_samples)
    return rlvm.load_exported(path)


def keys(seed):
    return jax.random.split(jax.random.key(seed), ROWS)


def test_samples_are_the_models(darn, tmp_path):
    function = through_file(darn, "sample", tmp_path / "f", ("cpu", "cuda", "tpu"))
    assert function.manifest["platforms"] == ["cpu", "cuda", "tpu"]
    for count in (3, ROWS):
        np.testing.assert_array_equal(function(count, seed=4), darn.sample(count, seed=4))


def test_log_prob_is_the_models_and_exact_to_1e_6(darn, bits, tmp_path):
    function = through_file(darn, "log_prob", tmp_path / "f")
    expected = darn.log_prob(bits, num_samples=20, seed=2)
    np.testing.assert_allclose(function(bits, seed=2), expected, rtol=0, atol=1e-6)
    assert np.abs(function(bits, seed=3) - expected).max() > 1e-3  # importance sampling, seeded
    two = darn.log_prob(bits[:2], num_samples=20, seed=2)  # a batch of any size
    np.testing.assert_allclose(function(bits[:2], seed=2), two, rtol=0, atol=1e-6)


def test_encoding_is_a_draw_of_the_posterior(darn, bits, tmp_path):
    function = through_file(darn, "encode", tmp_path / "f")
    z, _ = darn.posterior(bits).sample_with(detached, keys(7))
    np.testing.assert_array_equal(function({"x": bits}, seed=7), z)


def test_reconstruction_decodes_an_encoding(darn, bits, tmp_path):
    function = through_file(darn, "reconstruct", tmp_path / "f")
    pair = jax.vmap(jax.random.split)(keys(7))
    z, _ = darn.posterior(bits).sample_with(detached, pair[:, 0])
    np.testing.assert_array_equal(function(bits, 7), darn.likelihood(z).sample(pair[:, 1]))


def test_a_density_is_exact(bits, tmp_path):
    config = configs.load("darn/fvsbn")
    model = untrained(config, {"x": np.zeros((2, 6), np.float32)})
    function = through_file(model, "log_prob", tmp_path / "f")
    np.testing.assert_allclose(function(bits), model.log_prob(bits), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="'encode' needs a LatentVariable; FVSBN is none"):
        export.export_function(model, "encode", tmp_path / "g", ("cpu",))


@pytest.mark.slow
def test_paths_come_back_by_name(controlled, tmp_path):
    rng = np.random.default_rng(2)
    batch = {
        "x": (rng.random((ROWS, 4, 3)) < 0.5).astype(np.float32),
        "u": rng.normal(size=(ROWS, 4, 1)).astype(np.float32),
    }
    function = through_file(controlled, "encode", tmp_path / "f")
    path, _ = controlled.posterior(batch).sample_with(detached, keys(1))
    found = function(batch, seed=1)
    assert sorted(found) == ["states", "variables"]
    np.testing.assert_allclose(found["states"], path.states, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_samples_follow_their_controls(controlled, tmp_path):
    u = np.random.default_rng(3).normal(size=(ROWS, 4, 1)).astype(np.float32)
    function = through_file(controlled, "sample", tmp_path / "f")
    batch = {"x": np.zeros((ROWS, 4, 3), np.float32), "u": u, "mask": np.ones(ROWS)}
    expected = ancestral(controlled.bound, keys(5), batch)
    np.testing.assert_array_equal(function({"u": u}, seed=5), expected)


def test_errors_name_what_was_expected(darn, tmp_path):
    with pytest.raises(ValueError, match=r"No function 'draw'. Functions: sample, log_prob"):
        export.export_function(darn, "draw", tmp_path / "f")
    with pytest.raises(ValueError, match=r"No platform \['gpu'\]. Platforms: cpu, cuda"):
        export.export_function(darn, "sample", tmp_path / "f", ("gpu",))
    function = through_file(darn, "encode", tmp_path / "f")
    with pytest.raises(ValueError, match=r"'x' has shape \[5, 7\]; expected \['b', 6\]"):
        function(np.zeros((5, 7)))
    with pytest.raises(ValueError, match=r"takes \['x'\]; it was given \['y'\]"):
        function({"y": np.zeros((5, 6))})
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(ValueError, match="it is no zip file"):
        rlvm.load_exported(tmp_path / "text")


def test_loading_imports_jax_and_numpy_alone():
    tree = ast.parse(pathlib.Path(exported.__file__).read_text())
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module.split(".")[0])
    assert modules - set(sys.stdlib_module_names) == {"jax", "numpy"}


STANDALONE = """
import importlib.machinery, importlib.metadata, json, re, sys

needed = {re.match("[a-zA-Z0-9_]+", line)[0] for line in importlib.metadata.requires("jax")
          if "extra ==" not in line}
allowed = {"rlvm", "jax", "flatbuffers", *needed, *sys.stdlib_module_names}

class Bare:  # an installation of jax, what it cannot be installed without, and flatbuffers
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in allowed or root.startswith("_sysconfigdata"):
            return importlib.machinery.PathFinder.find_spec(name, path, target)

sys.meta_path[2:] = [Bare()]  # after what is built in or frozen
import numpy as np
import rlvm
value = rlvm.load_exported(sys.argv[1])(np.array(json.loads(sys.argv[2])), seed=2)
ours = [name for name in sys.modules if name.startswith("rlvm")]
print(json.dumps([np.asarray(value).tolist(), sorted(needed), ours]))
"""


@pytest.mark.slow
def test_a_fresh_process_needs_jax_and_numpy_alone(darn, bits, tmp_path):
    export.export_function(darn, "log_prob", tmp_path / "f", ("cpu",), 20)
    command = [sys.executable, "-c", STANDALONE, tmp_path / "f", json.dumps(bits.tolist())]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr[-2000:]
    value, needed, ours = json.loads(finished.stdout)
    assert ours == ["rlvm", "rlvm.exported"]
    assert needed == ["jaxlib", "ml_dtypes", "numpy", "opt_einsum", "scipy"]  # by jax itself
    expected = darn.log_prob(bits, num_samples=20, seed=2)
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6)
