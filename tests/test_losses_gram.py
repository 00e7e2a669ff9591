"""The Gram matrix with its own backward pass."""

from __future__ import annotations

import torch
from torch import Tensor

from jemlib.losses.gram import gram


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


def test_gram_is_the_table_of_inner_products() -> None:
    x = normal(0, 5, 3).detach()
    table = gram(x).detach()
    for i in range(5):
        for j in range(5):
            assert abs(table[i, j] - sum(float(x[i, k]) * float(x[j, k]) for k in range(3))) < 1e-12


def test_its_gradient_is_that_of_the_product_written_out() -> None:
    x, weights = normal(0, 5, 3), normal(1, 5, 5).detach()
    (ours,) = torch.autograd.grad((gram(x) * weights).sum(), x)
    (plain,) = torch.autograd.grad(((x @ x.T) * weights).sum(), x)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)


def test_its_first_and_second_derivatives_pass_gradcheck() -> None:
    assert torch.autograd.gradcheck(gram, (normal(0, 4, 3),))
    assert torch.autograd.gradgradcheck(gram, (normal(0, 4, 3),))


def test_it_can_be_mapped_and_differentiated_by_torch_func() -> None:
    x = normal(0, 4, 3).detach()
    jacobian = torch.func.jacrev(gram)(x)
    torch.testing.assert_close(jacobian, torch.func.jacrev(lambda y: y @ y.T)(x))
