"""Gram anchoring: keep the similarities between the patches of an image as an earlier teacher had them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.gram import gram
from jemlib.losses.precision import full_precision


class GramLoss(NamedTuple):
    """`total`: a scalar, the mean squared difference of two matrices of cosines."""

    total: Tensor


@full_precision
def gram_anchoring(student: Tensor, anchor: Tensor) -> GramLoss:
    """Mean squared difference between the patch-by-patch cosines of the student and of an anchor.

    Convention: features are scaled to length 1 at each position; the mean runs over the images and over all T x T
    pairs of positions, the diagonal among them (there both are 1). The anchor is detached here. Only similarities are
    held: the student's features may turn, all of an image at once, and may have another number of dimensions.

    Args:
        student: `(N, T, D)` features of T patches.
        anchor: `(N, T, D')`, of the same patches, from an earlier teacher.

    Returns:
        GramLoss; `total` in [0, 4). It is 0 if the cosines are equal; features that are one vector at all positions of
        both cost nothing.

    Source: DINOv3, facebookresearch/dinov3, gram_loss.py.
    """
    student = validate.as_float(validate.tensor("student", student, "N T D", meaning="N images, T patches"))
    anchor = validate.as_float(
        validate.tensor("anchor", anchor, "N T D", N=student.shape[0], T=student.shape[1], meaning="the same patches")
    ).detach()
    if student.device != anchor.device:
        raise ValueError(f"student and anchor must be on one device; got {student.device} and {anchor.device}.")
    dtype = torch.promote_types(student.dtype, anchor.dtype)
    x_s, x_g = (F.normalize(x.to(dtype), dim=2) for x in (student, anchor))
    # L = mean over n, t, t' of ( x_s,nt . x_s,nt' - x_g,nt . x_g,nt' )^2
    total = (gram(x_s) - gram(x_g)).square().mean()
    validate.finite_result(total, student=student, anchor=anchor)
    return GramLoss(total)
