import pathlib

import numpy as np
import pytest

from rlvm.data import simulated_quadrotor as simulated
from rlvm.data import source


def test_the_path_is_its_own_derivatives():
    path, step = simulated.Wander(np.random.PCG64(0)), 1e-4
    before, now, after = (path.update(t) for t in (2.0 - step, 2.0, 2.0 + step))
    for name, derivative in [("x", "x_dot"), ("x_dot", "x_ddot"), ("x_dddot", "x_ddddot")]:
        slope = (after[name] - before[name]) / (2 * step)
        np.testing.assert_allclose(now[derivative], slope, rtol=1e-5, atol=1e-6)


def test_too_few_examples_are_refused(tmp_path):
    files = source.Files("simulated_quadrotor", pathlib.Path(tmp_path), num_examples=16)
    with pytest.raises(ValueError, match="num_examples is 16"):
        simulated.read("", files)


@pytest.mark.slow
def test_flights_obey_newton_and_follow_their_paths(monkeypatch):
    pytest.importorskip("rotorpy")
    monkeypatch.setattr(simulated, "WINDOWS_PER_FLIGHT", 1)
    monkeypatch.setattr(simulated, "SENSOR_NOISE", np.zeros(6))
    path = simulated.Wander(np.random.PCG64(3))
    x, u = simulated.fly(path, np.random.PCG64(4))
    assert x.shape == (25, 3) and u.shape == (25, 14)
    wished = np.array([path.update(0.1 * n)["x"] for n in range(25)])
    assert np.abs(x - wished).max() < 0.5
    # |specific force| = |acceleration - gravity|, with the acceleration from second differences.
    acceleration = (x[2:] - 2 * x[1:-1] + x[:-2]) / 0.01
    expected = np.linalg.norm(acceleration - simulated.GRAVITY, axis=1)
    found = np.linalg.norm((u[:-2, :3] + u[1:-1, :3]) / 2, axis=1)
    np.testing.assert_allclose(found[3:], expected[3:], rtol=0.03)
    again, _ = simulated.fly(path, np.random.PCG64(4))
    np.testing.assert_array_equal(x, again)
