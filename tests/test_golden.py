"""Two steps of every model give the numbers they gave before.

A change of numbers belongs in CHANGELOG; then `pytest tests/test_golden.py --regenerate-golden`.
"""

import json
import pathlib

import jax
import numpy as np
import pytest
import runs
from configs_found import ONE_OF_EACH_MODEL, full, tiny

FOLDER = pathlib.Path(__file__).parent / "golden"


def summary(name) -> dict[str, float]:
    """Metrics of two steps, and a weighted sum of every parameter array after them."""
    run = runs.start(tiny(name))
    totals = run.steps(2)
    found = {f"metric {key}": float(value) for key, value in totals["sums"].items()}
    for path, leaf in jax.tree_util.tree_leaves_with_path(run.plain.params):
        weights = np.cos(np.arange(leaf.size)).reshape(leaf.shape)
        found[f"params {jax.tree_util.keystr(path)}"] = float(np.sum(weights * np.float64(leaf)))
    return dict(sorted(found.items()))


@pytest.mark.parametrize("name", ONE_OF_EACH_MODEL)
def test_two_steps_are_golden(name, request):
    found, path = summary(name), FOLDER / f"{full(name).model.name}.json"
    if request.config.getoption("--regenerate-golden"):
        path.write_text(json.dumps(found, indent=1) + "\n")
        return
    golden = json.loads(path.read_text())
    assert set(found) == set(golden)
    for key, value in golden.items():
        assert found[key] == pytest.approx(value, rel=2e-5, abs=2e-6), key
