"""A small vision transformer, which can be shown some of its patches only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jemlib import validate


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention, each `(N, heads, tokens, d)` -> the same shape.

    On a processor it is written out: with a few dozen tokens the backward pass of torch's fused kernel took
    longer than all the rest of the network. On a GPU the fused kernel is the quicker one.
    """
    if query.device.type != "cpu":
        return nn.functional.scaled_dot_product_attention(query, key, value)
    # softmax(Q K^T / sqrt(d)) V
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    return scores.softmax(dim=-1) @ value


class Block(nn.Module):
    """One pre-norm layer of a transformer: x + attention(norm(x)), then x + mlp(norm(x)); hidden width 4 dim."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, tokens, dim)` -> the same shape."""
        split = self.query_key_value(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (N, heads, tokens, dim / heads)
        x = x + self.output(attend(query, key, value).transpose(1, 2).flatten(2))
        y: Tensor = x + self.mlp(self.norm_mlp(x))
        return y


class PatchTransformer(nn.Module):
    """A small vision transformer: patches -> tokens -> pre-norm encoder -> mean over tokens."""

    def __init__(self, patch: int = 4, dim: int = 192, depth: int = 6, heads: int = 3, image: int = 32) -> None:
        super().__init__()
        # kernel = stride = patch: a token sees its own patch and nothing else
        self.embed = nn.Conv2d(3, dim, patch, stride=patch)
        self.position = nn.Parameter(torch.randn(1, (image // patch) ** 2, dim) * 0.02)
        self.encoder = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """`(N, 3, image, image)` -> `(N, dim)`.

        Args:
            images: normalised images.
            keep: `(N, kept)` int64, per sample the tokens that enter the encoder, counted row by row; the others are
                never seen. None lets all of them in. The features are a mean over tokens, so their order is free.

        Raises:
            TypeError, ValueError: keep is not an int64 tensor `(N, kept)`.
        """
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.position  # (N, tokens, dim)
        if keep is not None:
            self._check_keep(keep, len(images))
            # After the positions were added: a token that is kept still says where it was.
            tokens = tokens.gather(1, keep[:, :, None].expand(-1, -1, tokens.shape[2]))
        features: Tensor = self.norm(self.encoder(tokens)).mean(dim=1)
        return features

    @staticmethod
    def _check_keep(keep: Tensor, n: int) -> None:
        validate.tensor("keep", keep, "N kept", kind="int64", meaning="indices of tokens", N=n)
