"""Oracles: each formula as plain Python loops over float64 numbers, mirroring the sums on paper.

They share no code with jemlib. Matrices go in as tensors or lists of rows and come out as lists of rows.
The last section draws the random inputs of the property tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor

Matrix = list[list[float]]


def rows(z: Tensor) -> Matrix:
    """The entries of a tensor as Python floats, which are float64."""
    return [[float(x) for x in row] for row in z.tolist()]


# --- vectors ---------------------------------------------------------------------------------------------------


def dot(x: Sequence[float], y: Sequence[float]) -> float:
    return sum(p * q for p, q in zip(x, y))


def unit(x: Sequence[float]) -> list[float]:
    length = math.sqrt(dot(x, x))
    return [p / length for p in x]


def log_sum_exp(values: Iterable[float]) -> float:
    values = list(values)
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))


# --- contrastive losses: (alignment, contrast) -----------------------------------------------------------------


def info_nce(z_a: Tensor, z_b: Tensor, tau: float) -> tuple[float, float]:
    a, b = [unit(x) for x in rows(z_a)], [unit(x) for x in rows(z_b)]
    n = len(a)
    alignment = sum(-dot(a[i], b[i]) / tau for i in range(n)) / n
    contrast = sum(log_sum_exp(dot(a[i], b[j]) / tau for j in range(n)) for i in range(n)) / n
    return alignment, contrast


def decoupled_info_nce(z_a: Tensor, z_b: Tensor, tau: float) -> tuple[float, float]:
    a, b = [unit(x) for x in rows(z_a)], [unit(x) for x in rows(z_b)]
    n = len(a)
    alignment = sum(-dot(a[i], b[i]) / tau for i in range(n)) / n
    contrast = sum(log_sum_exp(dot(a[i], b[j]) / tau for j in range(n) if j != i) for i in range(n)) / n
    return alignment, contrast


def nt_xent(z_a: Tensor, z_b: Tensor, tau: float) -> tuple[float, float]:
    n = len(z_a)
    u = [unit(x) for x in rows(z_a) + rows(z_b)]
    alignment = contrast = 0.0
    for i in range(2 * n):
        positive = i + n if i < n else i - n
        alignment -= dot(u[i], u[positive]) / tau
        contrast += log_sum_exp(dot(u[i], u[k]) / tau for k in range(2 * n) if k != i)
    return alignment / (2 * n), contrast / (2 * n)


def tangent(gradient: Sequence[float], z: Sequence[float]) -> list[float]:
    """Chain rule of u = z/|z|:  dL/dz = (g - (g.u) u) / |z|."""
    u, length = unit(z), math.sqrt(dot(z, z))
    along = dot(gradient, u)
    return [(g - along * x) / length for g, x in zip(gradient, u)]


def info_nce_gradient(z_a: Tensor, z_b: Tensor, tau: float, *, positive: bool = True) -> Matrix:
    """d/dz_a of the mean over N:  g_i = sum_j (P_ij - I_ij) b_j / (N tau); without `positive`, P_ii = 0."""
    za = rows(z_a)
    a, b = [unit(x) for x in za], [unit(x) for x in rows(z_b)]
    n, d = len(a), len(a[0])
    out = []
    for i in range(n):
        others = [j for j in range(n) if positive or j != i]
        log_z = log_sum_exp(dot(a[i], b[j]) / tau for j in others)
        p = [math.exp(dot(a[i], b[j]) / tau - log_z) if j in others else 0.0 for j in range(n)]
        g = [sum((p[j] - (i == j)) * b[j][k] for j in range(n)) / (n * tau) for k in range(d)]
        out.append(tangent(g, za[i]))
    return out


def nt_xent_gradient(z_a: Tensor, z_b: Tensor, tau: float) -> Matrix:
    """d/dz of both views, (2N, D):  with G = (P - Pi) / 2N,  g_i = sum_k (G_ik + G_ki) u_k / tau."""
    z = rows(z_a) + rows(z_b)
    u = [unit(x) for x in z]
    m, d = len(u), len(u[0])
    g_s = [[0.0] * m for _ in range(m)]
    for i in range(m):
        log_z = log_sum_exp(dot(u[i], u[k]) / tau for k in range(m) if k != i)
        for k in range(m):
            p = 0.0 if k == i else math.exp(dot(u[i], u[k]) / tau - log_z)
            g_s[i][k] = (p - (k == (i + m // 2) % m)) / m
    out = []
    for i in range(m):
        g = [sum((g_s[i][k] + g_s[k][i]) * u[k][j] for k in range(m)) / tau for j in range(d)]
        out.append(tangent(g, z[i]))
    return out


# --- batch statistics ------------------------------------------------------------------------------------------


def column_means(z: Matrix) -> list[float]:
    return [sum(row[j] for row in z) / len(z) for j in range(len(z[0]))]


def covariance(z: Matrix, correction: int) -> Matrix:
    n, d, mean = len(z), len(z[0]), column_means(z)
    return [
        [sum((z[b][i] - mean[i]) * (z[b][j] - mean[j]) for b in range(n)) / (n - correction) for j in range(d)]
        for i in range(d)
    ]


def standardize(z: Matrix, eps: float) -> Matrix:
    mean, cov = column_means(z), covariance(z, correction=0)
    return [[(x - mean[j]) / math.sqrt(cov[j][j] + eps) for j, x in enumerate(row)] for row in z]


# --- Barlow Twins ----------------------------------------------------------------------------------------------


def cross_correlation(z_a: Tensor, z_b: Tensor, eps: float) -> Matrix:
    a, b = standardize(rows(z_a), eps), standardize(rows(z_b), eps)
    n, d = len(a), len(a[0])
    return [[sum(a[k][i] * b[k][j] for k in range(n)) / n for j in range(d)] for i in range(d)]


def barlow_terms(c: Matrix) -> tuple[float, float]:
    """(invariance, redundancy) of a cross-correlation matrix."""
    d = len(c)
    invariance = sum((1 - c[i][i]) ** 2 for i in range(d))
    redundancy = sum((c[i][j] ** 2 for i in range(d) for j in range(d) if i != j), 0.0)
    return invariance, redundancy


def barlow_twins_gradient(z_a: Tensor, z_b: Tensor, lambd: float) -> Matrix:
    """d/dz_a at eps = 0, entry by entry."""
    a, b = standardize(rows(z_a), 0.0), standardize(rows(z_b), 0.0)
    c = cross_correlation(z_a, z_b, 0.0)
    cov = covariance(rows(z_a), correction=0)
    n, d = len(a), len(a[0])
    out = [[0.0] * d for _ in range(n)]
    for i in range(d):
        # dL/da_bi = (1/N) sum_j dL/dC_ij b_bj
        g_c = [2 * lambd * c[i][j] if i != j else -2 * (1 - c[i][i]) for j in range(d)]
        g = [sum(g_c[j] * b[k][j] for j in range(d)) / n for k in range(n)]
        mean_g = sum(g) / n
        mean_ag = sum(a[k][i] * g[k] for k in range(n)) / n
        for k in range(n):
            out[k][i] = (g[k] - mean_g - a[k][i] * mean_ag) / math.sqrt(cov[i][i])
    return out


# --- VICReg ----------------------------------------------------------------------------------------------------


def variance_hinge(z: Matrix, gamma: float = 1.0, eps: float = 1e-4) -> float:
    d, cov = len(z[0]), covariance(z, correction=1)
    return sum(max(0.0, gamma - math.sqrt(cov[j][j] + eps)) for j in range(d)) / d


def covariance_penalty(z: Matrix) -> float:
    d, cov = len(z[0]), covariance(z, correction=1)
    return sum((cov[i][j] ** 2 for i in range(d) for j in range(d) if i != j), 0.0) / d


def squared_distance(z_a: Matrix, z_b: Matrix) -> float:
    """The sum over all samples and dimensions of (a - b)^2."""
    return sum((p - q) ** 2 for x, y in zip(z_a, z_b) for p, q in zip(x, y))


def vicreg(z_a: Tensor, z_b: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> tuple[float, float, float]:
    """(s, v, c) in the official code's scale."""
    a, b = rows(z_a), rows(z_b)
    s = squared_distance(a, b) / (len(a) * len(a[0]))
    v = (variance_hinge(a, gamma, eps) + variance_hinge(b, gamma, eps)) / 2
    return s, v, covariance_penalty(a) + covariance_penalty(b)


def vicreg_paper(z_a: Tensor, z_b: Tensor, lambd: float = 25.0, mu: float = 25.0, nu: float = 1.0) -> float:
    """2105.04906, eq. 6: s is summed over dimensions, and both branches are added."""
    a, b = rows(z_a), rows(z_b)
    s = squared_distance(a, b) / len(a)
    v = variance_hinge(a) + variance_hinge(b)
    return lambd * s + mu * v + nu * (covariance_penalty(a) + covariance_penalty(b))


def vicreg_gradient(
    z_a: Tensor, z_b: Tensor, lambd: float, mu: float, nu: float, gamma: float = 1.0, eps: float = 1e-4
) -> Matrix:
    """d/dz_a in the official code's scale (s/d, half of v)."""
    a, b = rows(z_a), rows(z_b)
    n, d, mean, cov = len(a), len(a[0]), column_means(a), covariance(a, correction=1)
    out = [[0.0] * d for _ in range(n)]
    for k in range(n):
        for j in range(d):
            std = math.sqrt(cov[j][j] + eps)
            centred = [a[k][i] - mean[i] for i in range(d)]
            s = 2 * (a[k][j] - b[k][j]) / (n * d)
            v = -centred[j] / ((n - 1) * std * d) if std < gamma else 0.0
            c = 4 / (d * (n - 1)) * sum(centred[i] * cov[i][j] for i in range(d) if i != j)
            out[k][j] = lambd * s + mu * v / 2 + nu * c
    return out


# --- diagnostics -----------------------------------------------------------------------------------------------


def singular_values(z: Matrix, sweeps: int = 60) -> list[float]:
    """Descending, min(N, D) of them: one-sided Jacobi, which turns pairs of columns until all are orthogonal."""
    n, d = len(z), len(z[0])
    columns = [[row[j] for row in z] for j in range(d)] if d <= n else [list(row) for row in z]
    for _ in range(sweeps):
        turned = False
        for i in range(len(columns)):
            for j in range(i + 1, len(columns)):
                x, y = columns[i], columns[j]
                xx, yy, xy = dot(x, x), dot(y, y), dot(x, y)
                if abs(xy) <= 1e-15 * math.sqrt(xx * yy) or xy == 0:
                    continue
                turned = True
                zeta = (yy - xx) / (2 * xy)
                t = math.copysign(1.0, zeta) / (abs(zeta) + math.hypot(1.0, zeta))
                c = 1 / math.hypot(1.0, t)
                columns[i] = [c * p - c * t * q for p, q in zip(x, y)]
                columns[j] = [c * t * p + c * q for p, q in zip(x, y)]
        if not turned:
            break
    return sorted((math.sqrt(dot(x, x)) for x in columns), reverse=True)


def covariance_spectrum(z: Tensor) -> list[float]:
    """Squared singular values of the centred rows over N - 1, padded with zeros to D."""
    z_rows = rows(z)
    mean = column_means(z_rows)
    values = singular_values([[x - m for x, m in zip(row, mean)] for row in z_rows])
    return [s * s / (len(z_rows) - 1) for s in values] + [0.0] * (len(mean) - len(values))


def rankme(z: Tensor, eps: float = 1e-7) -> float:
    sigma = singular_values(rows(z))
    p = [s / sum(sigma) + eps for s in sigma]
    return math.exp(-sum(q * math.log(q) for q in p))


def participation_ratio(z: Tensor) -> float:
    energy = [s * s for s in singular_values(rows(z))]
    return sum(energy) ** 2 / sum(e * e for e in energy)


def entropy_rank(z: Tensor) -> float:
    """exp of the entropy of the squared singular values: between the participation ratio and RankMe."""
    energy = [s * s for s in singular_values(rows(z))]
    p = [e / sum(energy) for e in energy]
    return math.exp(-sum(q * math.log(q) for q in p if q > 0))


def normalized_std(z: Tensor) -> float:
    u = [unit(x) for x in rows(z)]
    d, cov = len(u[0]), covariance(u, correction=0)
    return math.sqrt(d) * sum(math.sqrt(cov[j][j]) for j in range(d)) / d


def alignment(z_a: Tensor, z_b: Tensor, alpha: float) -> float:
    pairs = [(unit(x), unit(y)) for x, y in zip(rows(z_a), rows(z_b))]
    return sum(math.dist(x, y) ** alpha for x, y in pairs) / len(pairs)


def uniformity(z: Tensor, t: float) -> float:
    u = [unit(x) for x in rows(z)]
    n = len(u)
    potentials = [math.exp(-t * math.dist(u[i], u[j]) ** 2) for i in range(n) for j in range(i + 1, n)]
    return math.log(sum(potentials) / len(potentials))


def correlation_offdiagonal(z: Tensor) -> float:
    cov = covariance(rows(z), correction=0)
    d = len(cov)
    squares = [cov[i][j] ** 2 / (cov[i][i] * cov[j][j]) for i in range(d) for j in range(d) if i != j]
    return math.sqrt(sum(squares) / len(squares))


# --- random inputs ---------------------------------------------------------------------------------------------


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers that depend on the seed alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def rotation(seed: int, d: int) -> Tensor:
    """A random orthogonal matrix `(d, d)`."""
    return torch.linalg.qr(normal(seed, d, d))[0]


def permutation(seed: int, n: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


seeds = st.integers(0, 2**31 - 1)
temperatures = st.floats(0.05, 5.0)


@st.composite
def batches(
    draw: st.DrawFn, min_samples: int = 2, min_dims: int = 1, max_samples: int = 7, max_dims: int = 6
) -> Tensor:
    """One batch `(N, D)`: random shape, seed, scale and offset."""
    n, d = draw(st.integers(min_samples, max_samples)), draw(st.integers(min_dims, max_dims))
    scale, offset = draw(st.sampled_from([0.01, 0.3, 1.0, 20.0])), draw(st.sampled_from([0.0, 0.5, -2.0]))
    return scale * (normal(draw(seeds), n, d) + offset)


@st.composite
def views(
    draw: st.DrawFn, min_samples: int = 2, min_dims: int = 1, max_samples: int = 7, max_dims: int = 6
) -> tuple[Tensor, Tensor]:
    """Two views of one batch: `z_b` is `z_a` plus noise of a random size, from nearly equal to unrelated."""
    z_a = draw(batches(min_samples, min_dims, max_samples, max_dims))
    noise = draw(st.sampled_from([0.05, 1.0, 30.0]))
    scale = z_a.std().item() + 1e-3
    return z_a, z_a + noise * scale * normal(draw(seeds), *z_a.shape)
