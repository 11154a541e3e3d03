"""Closed forms of the conditioning gap, in float64 ("Mind the Gap", section 3; eqs. 5 and 6).

A posterior q(z | C) that is not told Cbar does best at w(z) = exp(E[log p(z | C, Cbar)]) / Z(C),
the normalised geometric mean of the full posteriors, and E KL(w || p(z | C, Cbar)) = -log Z(C).
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np


def shared_gaussian(
    weights: np.ndarray, means: np.ndarray, precisions: np.ndarray
) -> tuple[float, float, float]:
    """(mean, precision, gap) of w for Gaussian full posteriors with weights p(Cbar | C).

    Precisions average, l = sum pi_k l_k; means average by precision, m = sum pi_k l_k m_k / l;
    gap = (log l - sum pi_k log l_k) / 2 + (sum pi_k l_k m_k^2 - l m^2) / 2.
    """
    weights, means, precisions = (np.asarray(a, float) for a in (weights, means, precisions))
    if not np.isclose(weights.sum(), 1.0) or np.any(weights < 0):
        raise ValueError(f"Weights {weights} came; expected a distribution over the posteriors.")
    precision = weights @ precisions
    mean = weights @ (precisions * means) / precision
    log_part = np.log(precision) - weights @ np.log(precisions)
    square_part = weights @ (precisions * means**2) - precision * mean**2
    return float(mean), float(precision), float((log_part + square_part) / 2.0)


@dataclasses.dataclass(frozen=True)
class UnivariateExample:
    """Section 3.2: data N(0, 1), p_a(x, z) = N(x | a z, r) N(z | 0, 1), q(z) told nothing.

    r is a variance, as the text's own p_a(x) = N(0, 0.1 + a^2) has it. Its printed optimum
    N(0, (100 a^2 + 1)^-1) follows only if 0.1 were a standard deviation; with r = 0.1 it is
    (10 a^2 + 1)^-1, which is exactly the variance of p_a(z | x).
    """

    emission_variance: float = 0.1

    def shared_variance(self, a: float) -> float:
        """Variance of the optimal q: 1 / (1 + a^2 / r); its mean is 0."""
        return 1.0 / (1.0 + a**2 / self.emission_variance)

    def elbo(self, a: float) -> float:
        """E[ELBO] at the optimal q: -log(2 pi r)/2 - 1/(2r) - log(1 + a^2/r)/2."""
        r = self.emission_variance
        return float(-0.5 * (np.log(2 * np.pi * r) + 1.0 / r + np.log1p(a**2 / r)))

    def log_evidence(self, a: float) -> float:
        """E[log p_a(x)] = -log(2 pi (r + a^2))/2 - 1/(2 (r + a^2))."""
        variance = self.emission_variance + a**2
        return float(-0.5 * (np.log(2 * np.pi * variance) + 1.0 / variance))

    def gap(self, a: float) -> float:
        """a^2 / (2 r (r + a^2)): what the optimal q leaves of E[log p_a(x)]."""
        r = self.emission_variance
        return float(a**2 / (2.0 * r * (r + a**2)))


@dataclasses.dataclass(frozen=True)
class LinearGaussian:
    """z_1 ~ N(0, Q_1), z_t = A z_{t-1} + N(0, Q), x_t = C z_t + N(0, R), for T steps (oracle 6)."""

    transition: np.ndarray  # A [Z, Z]
    transition_cov: np.ndarray  # Q [Z, Z]
    emission: np.ndarray  # C [D, Z]
    emission_cov: np.ndarray  # R [D, D]
    initial_cov: np.ndarray  # Q_1 [Z, Z]
    num_timesteps: int

    def state_noise_precision(self, t: int) -> np.ndarray:
        """Q_t^-1: that of z_1 at step 0."""
        return np.linalg.inv(self.transition_cov if t else self.initial_cov)

    def state_map(self) -> np.ndarray:
        """z_1:T = B (noise of z_1, ..., noise of z_T): B [T Z, T Z]."""
        size, steps = len(self.transition), self.num_timesteps
        blocks = np.zeros((steps, size, steps, size))
        for t in range(steps):
            for s in range(t + 1):
                blocks[t, :, s] = np.linalg.matrix_power(self.transition, t - s)
        return blocks.reshape(steps * size, steps * size)

    def state_cov(self) -> np.ndarray:
        """Covariance of z_1:T: [T Z, T Z]."""
        later = [self.transition_cov] * (self.num_timesteps - 1)
        noise, b = block_diagonal([self.initial_cov, *later]), self.state_map()
        return b @ noise @ b.T

    def observation_cov(self) -> np.ndarray:
        """Covariance of x_1:T: [T D, T D]."""
        c = block_diagonal([self.emission] * self.num_timesteps)
        return c @ self.state_cov() @ c.T + block_diagonal([self.emission_cov] * self.num_timesteps)

    def posterior_precision(self) -> np.ndarray:
        """Precision of z_1:T given x_1:T: [T Z, T Z]."""
        one = self.emission.T @ np.linalg.inv(self.emission_cov) @ self.emission
        return np.linalg.inv(self.state_cov()) + block_diagonal([one] * self.num_timesteps)

    def log_evidence(self, x: np.ndarray) -> np.ndarray:
        """Log p(x_1:T) of sequences x [..., T, D]."""
        cov, flat = self.observation_cov(), np.asarray(x, float).reshape(*x.shape[:-2], -1)
        quadratic = np.sum(flat * np.linalg.solve(cov, flat.T).T, axis=-1)
        return -0.5 * (np.linalg.slogdet(2 * np.pi * cov)[1] + quadratic)

    def backward(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """(Lambda_t, H_t) of p(z_t | z_{t-1}, x_1:T), with h_t = H_t x_1:T a function of x_{t+1:T}.

        Lambda_t = C' R^-1 C + Q_t^-1 + P_t and the mean is
        Lambda_t^-1 (C' R^-1 x_t + Q^-1 A z_{t-1} + h_t), where P_T = h_T = 0 and
        P_{t-1} = A' Q^-1 A - A' Q^-1 Lambda_t^-1 Q^-1 A,
        h_{t-1} = A' Q^-1 Lambda_t^-1 (C' R^-1 x_t + h_t).
        """
        a, steps = self.transition, self.num_timesteps
        size, dims = len(a), len(self.emission)
        from_x = self.emission.T @ np.linalg.inv(self.emission_cov)  # C' R^-1
        p, h = np.zeros((size, size)), np.zeros((size, steps * dims))
        lambdas, maps = [], []
        for t in range(steps - 1, -1, -1):
            q_inv = self.state_noise_precision(t)
            lambdas.append(from_x @ self.emission + q_inv + p)
            maps.append(h)
            back = a.T @ q_inv @ np.linalg.inv(lambdas[-1])
            here = np.zeros_like(h)
            here[:, t * dims : (t + 1) * dims] = from_x
            p, h = a.T @ q_inv @ a - back @ q_inv @ a, back @ (here + h)
        return lambdas[::-1], maps[::-1]

    def gaps(self, observed: Sequence[Sequence[int]]) -> np.ndarray:
        """The conditioning gap of each step when q(z_t | z_{t-1}, .) sees the steps observed[t].

        tr(Lambda_t^-1 Cov(h_t | x_observed)) / 2 in nats: [T]. Exact if step t is among
        observed[t] and these sets grow with t; else an upper bound (`is_nested` tells), because
        z_{t-1} carries what was dropped.
        """
        dims, cov = len(self.emission), self.observation_cov()
        gaps = []
        for lam, h, steps in zip(*self.backward(), observed, strict=True):
            seen = [t * dims + d for t in steps for d in range(dims)]
            left = cov - cov[:, seen] @ np.linalg.solve(cov[np.ix_(seen, seen)], cov[seen])
            gaps.append(0.5 * np.trace(np.linalg.solve(lam, h @ left @ h.T)))
        return np.array(gaps)

    def mean_field_gap(self) -> float:
        """Gap of q(z_t | x_1:T) without z_{t-1}: (sum log det Lambda_tt - log det Lambda) / 2.

        The optimum is mean field over steps: exact means, covariances Lambda_tt^-1.
        """
        precision, size = self.posterior_precision(), len(self.transition)
        blocks = [precision[i : i + size, i : i + size] for i in range(0, len(precision), size)]
        return float(0.5 * (sum(logdet(block) for block in blocks) - logdet(precision)))


def is_nested(observed: Sequence[Sequence[int]]) -> bool:
    """Whether step t is among observed[t] and the sets grow: then `gaps` is exact."""
    grows = all(set(a) <= set(b) for a, b in itertools.pairwise(observed))
    return grows and all(t in steps for t, steps in enumerate(observed))


def logdet(matrix: np.ndarray) -> float:
    """Log determinant of a positive definite matrix."""
    return float(np.linalg.slogdet(matrix)[1])


def block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """The blocks along the diagonal of one matrix."""
    rows, columns = (np.cumsum([0, *[b.shape[axis] for b in blocks]]) for axis in (0, 1))
    matrix = np.zeros((rows[-1], columns[-1]))
    for i, block in enumerate(blocks):
        matrix[rows[i] : rows[i + 1], columns[i] : columns[i + 1]] = block
    return matrix
