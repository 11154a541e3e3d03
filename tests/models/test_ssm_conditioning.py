import jax
import numpy as np
import pytest
from ssm_models import T, make, make_batch, variables

from rlvm.models.ssm import PRESETS, Conditioning, preset
from rlvm.models.ssm.paths import Path

# Steps count from 0; what q(z_t | .) may depend on, z_{t-1} held fixed (Table 1 and appendix B).
PAST = {t: set(range(t + 1)) for t in range(T)}
ALL = {t: set(range(T)) for t in range(T)}
FUTURE = {t: set(range(t, T)) for t in range(T)}
NOW = {t: {t} for t in range(T)}
LAST_STATE = {t: {t - 1} - {-1} for t in range(T)}
EARLIER_STATES = {t: set(range(t)) for t in range(T)}
NO_STATE = {t: set() for t in range(T)}
EXPECTED = {
    "partial": (PAST, LAST_STATE),
    "semi": ({**PAST, 0: {0, 1, 2}}, LAST_STATE),
    "full": (ALL, LAST_STATE),
    "STORN": (ALL, NO_STATE),
    "VRNN": (PAST, EARLIER_STATES),
    "DKS": (FUTURE, LAST_STATE),
    "DVBF": (NOW, LAST_STATE),
}
SAME = {"DKF": "STORN", "PlaNet": "DVBF", "SLAC": "DVBF"}


def influence(model, batch):
    """Which x_s, u_s and z_s have a gradient into mean or scale of q(z_t | .): [T, T] bool each."""
    params = variables(model, batch)
    states = jax.random.normal(jax.random.key(1), (2, T, model.state_dim))

    def state_moments(x, u, states):
        bound, given = model.bind(params), {**batch, "x": x, "u": u}
        moments = bound.posterior(given).moments(Path(states, states))
        mean, scale = moments.mean, moments.scale
        if model.inference == "residual":  # q(eps_t | .) as q(z_t | .)
            f, gain = bound.transitions(states, bound.project_controls(given))
            mean = mean.at[:, 1:].set(f + gain * mean[:, 1:])
            scale = scale.at[:, 1:].multiply(gain)
        return mean[0].sum(-1) + 0.7 * scale[0].sum(-1)

    jacobians = jax.jit(jax.jacrev(state_moments, argnums=(0, 1, 2)))(
        batch["x"], batch["u"], states
    )
    return [np.abs(j[:, 0]).max(axis=-1) > 1e-7 for j in jacobians]


def table(sets):
    """{t: steps} as a bool matrix."""
    return np.array([[s in sets[t] for s in range(T)] for t in range(T)])


@pytest.mark.parametrize("name", EXPECTED)
def test_exactly_the_listed_inputs_influence_each_state(name):
    conditioning = preset(name, 3) if name == "semi" else preset(name)
    seen_x, seen_u, seen_z = influence(make(conditioning), make_batch())
    observations, states = EXPECTED[name]
    np.testing.assert_array_equal(seen_x, table(observations))
    np.testing.assert_array_equal(seen_z, table(states))
    # Controls come with the observations of their step; u_{t-1} also through z~_t.
    through_mean = {t: {t - 1} - {-1} if states is not NO_STATE else set() for t in range(T)}
    np.testing.assert_array_equal(seen_u, table(observations) | table(through_mean))


def test_the_other_presets_are_those_tested():
    assert set(EXPECTED) | set(SAME) == set(PRESETS)
    assert all(PRESETS[name] == PRESETS[other] for name, other in SAME.items())


def test_a_conditioning_of_ones_own():
    own = Conditioning("x_1:k", "x_t:T", "z_1:t-1", prefix_length=2)
    seen_x, _, seen_z = influence(make(own), make_batch())
    np.testing.assert_array_equal(seen_x, table({**FUTURE, 0: {0, 1}}))
    np.testing.assert_array_equal(seen_z, table(EARLIER_STATES))


def test_errors_say_what_exists():
    with pytest.raises(ValueError, match=r"No conditioning 'ful'\. Presets: partial, semi, full"):
        preset("ful")
    with pytest.raises(ValueError, match=r"rest='x_2:t'\. There are: x_t, x_1:t"):
        Conditioning("x_1:k", "x_2:t")
    with pytest.raises(ValueError, match="runs backward"):
        Conditioning("x_1:T", "x_1:t")
    with pytest.raises(ValueError, match=r"prefix_length is 0; expected at least 1"):
        preset("semi", 0)
    with pytest.raises(ValueError, match=r"model\.inference='state'"):
        model = make(PRESETS["DKF"], inference="residual")
        jax.eval_shape(model.init, jax.random.key(0), make_batch())
