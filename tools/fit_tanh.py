"""Fit the tanh of ``sse/edge/native/kernels.inc.h``: z P(z^2) / Q(z^2) on |z| <= 9, P of degree 6, Q of degree 3.

Weighted linear least squares with the denominator of the step before as weight (Sanathanan and Koerner, 1963), the
weights moved towards the largest errors (Lawson, 1961) until the greatest absolute error no longer falls.

    python tools/fit_tanh.py
"""

from __future__ import annotations

import numpy as np

BOUND, TOP, BOTTOM, STEPS = 9.0, 6, 3, 400


def fit() -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients of P and Q, lowest power first, and the greatest error in double precision."""
    chebyshev = BOUND * (1 - np.cos(np.linspace(0, np.pi, 4001))) / 2
    x = np.sort(np.concatenate([chebyshev, np.linspace(0, BOUND, 4001)]))[1:]
    u, y = (x / BOUND) ** 2, np.tanh(x)  # u in [0, 1] keeps the system well conditioned
    weight, denominator = np.ones_like(x), np.ones_like(x)
    best: tuple[np.ndarray, np.ndarray, float] | None = None
    for _ in range(STEPS):
        scale = np.sqrt(weight) / denominator
        system = np.column_stack(
            [x * u**k for k in range(TOP + 1)] + [-y * u**k for k in range(1, BOTTOM + 1)]
        )
        system *= scale[:, None]
        norm = np.abs(system).max(0)
        found = np.linalg.lstsq(system / norm, y * scale, rcond=None)[0] / norm
        p, q = found[: TOP + 1], np.concatenate([[1.0], found[TOP + 1 :]])
        denominator = sum(value * u**k for k, value in enumerate(q))
        error = np.abs(x * sum(value * u**k for k, value in enumerate(p)) / denominator - y)
        if best is None or error.max() < best[2]:
            powers = BOUND ** (2.0 * np.arange(TOP + 1))
            best = (p / powers, q / powers[: BOTTOM + 1], float(error.max()))
        weight *= np.sqrt(error / error.mean())
        weight /= weight.mean()
    assert best is not None
    return best


if __name__ == "__main__":
    top, bottom, worst = fit()
    for name, values in (("P", top), ("Q", bottom)):
        print(name, ", ".join(f"{value:.9e}f" for value in values[::-1]))  # noqa: T201
    print(f"greatest error in double precision {worst:.2e}")  # noqa: T201
