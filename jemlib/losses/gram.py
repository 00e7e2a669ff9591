"""The Gram matrix `X X^T`, with one matrix product backwards where automatic differentiation makes two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Gram(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x @ x.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # dL/dX = (G + G^T) X: both factors are the same X, so their two products are one
        (x,) = ctx.saved_tensors
        return (grads[0] + grads[0].mT) @ x


def gram(x: Tensor) -> Tensor:
    """`(M, D)` -> the inner products of all pairs of rows, `(M, M)`; the transpose of x gives those of the columns."""
    product: Tensor = _Gram.apply(x)
    return product
