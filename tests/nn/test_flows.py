import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.models.distributions import Flow
from rlvm.nn.flows import FlowChain, autoregressive_masks

DIM = 4


@pytest.fixture(scope="module", params=[1, 3])
def chain(request):
    """Both compiled directions of a chain whose parameters are far from the identity."""
    module = FlowChain(DIM, num_flows=request.param, sizes=(9, 7), activation="tanh")
    params = jax.jit(module.init)(jax.random.key(0), jnp.zeros(DIM))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    leaves = [0.6 * jax.random.normal(k, p.shape) for k, p in zip(keys, leaves, strict=True)]
    flow = Flow(module.bind(tree.unflatten(leaves)))
    return jax.jit(flow.forward_and_log_det), jax.jit(flow.inverse_and_log_det)


def test_log_det_is_that_of_the_numerical_jacobian(chain):
    x, eps = np.random.default_rng(0).normal(size=DIM).astype(np.float32), 1e-2
    forward, _ = chain
    steps = eps * np.eye(DIM, dtype=np.float32)
    columns = [(forward(x + step)[0] - forward(x - step)[0]) / (2 * eps) for step in steps]
    sign, log_det = np.linalg.slogdet(np.asarray(columns, np.float64).T)
    assert sign == 1
    np.testing.assert_allclose(forward(x)[1], log_det, atol=2e-3)


def test_inverse_undoes_forward_and_negates_its_log_det(chain):
    x = jax.random.normal(jax.random.key(2), (5, 3, DIM))
    forward, inverse = chain
    y, log_det = forward(x)
    back, inverse_log_det = inverse(y)
    np.testing.assert_allclose(back, x, atol=2e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=2e-4)
    assert np.abs(np.asarray(y - x)).max() > 0.1


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_masks_compose_to_a_strictly_triangular_map(dim, backward):
    reach = np.eye(dim)
    for mask in autoregressive_masks(dim, (16, 8), backward):
        reach = reach @ mask
    shift, log_scale = reach[:, :dim] > 0, reach[:, dim:] > 0
    expected = np.triu(np.ones((dim, dim)), 1) > 0
    np.testing.assert_array_equal(shift, expected.T if backward else expected)
    np.testing.assert_array_equal(log_scale, shift)


def test_a_fresh_chain_is_near_the_identity():
    module = FlowChain(DIM, num_flows=4)
    x = jax.random.normal(jax.random.key(3), (100, DIM))
    y = jax.jit(module.init_with_output)(jax.random.key(4), x)[0]
    np.testing.assert_allclose(y, x, atol=0.5)
