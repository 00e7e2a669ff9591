"""Inputs on which the checks of several lessons compare functions: pairs of related views."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jemlib.course.machinery.agreement import Case


def views(n: int, d: int, seed: int, dtype: torch.dtype, shift: float, scale: float) -> tuple[Tensor, Tensor]:
    """Two related views: each dimension has its own mean and spread, and C is neither symmetric nor diagonal."""
    generator = torch.Generator().manual_seed(seed)
    a, noise = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    mixing = torch.eye(d, dtype=torch.float64) + 0.5 * torch.randn(d, d, generator=generator, dtype=torch.float64)
    b = a @ mixing + 0.3 * noise
    spread = 0.5 + torch.rand(d, generator=generator, dtype=torch.float64)
    mean = shift * torch.randn(d, generator=generator, dtype=torch.float64)
    return (scale * (spread * a + mean)).to(dtype), (scale * (b / spread - mean)).to(dtype)


def pairs() -> list[Case]:
    """Odd shapes, shifted and scaled, D > N, D = 1, both types, and a dimension that is constant."""
    double, single = torch.float64, torch.float32
    z_a, z_b = views(8, 3, 6, double, 1, 1)
    z_a[:, 1] = 3.0
    return [
        Case(views(7, 4, 1, double, 2, 1)),
        Case(views(5, 8, 2, single, 2, 1)),
        Case(views(9, 3, 3, double, 20, 5)),
        Case(views(6, 1, 4, double, 1, 1)),
        Case(views(4, 5, 5, double, 1, 2e-3), note="very small values"),
        Case((z_a, z_b), note="dimension 1 of z_a constant"),
    ]


def pairs_with(**settings: float) -> Callable[[], list[Case]]:
    """The same, and two calls with settings other than the default."""

    def cases() -> list[Case]:
        again = [
            Case(views(6, 3, 7, torch.float64, 1, 1), settings),
            Case(views(3, 5, 8, torch.float32, 1, 1), settings),
        ]
        return pairs() + again

    return cases


def single_views(**settings: float) -> Callable[[], list[Case]]:
    """The first views of `pairs_with`, for functions of one batch."""
    return lambda: [
        Case(case.args[:1], case.kwargs, case.note.replace(" of z_a", "")) for case in pairs_with(**settings)()
    ]
