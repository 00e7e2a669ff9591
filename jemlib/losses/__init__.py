"""The objectives: pure functions of tensors, without state.

Each returns a NamedTuple whose first field `total` is the scalar to minimise; the other fields are the named
terms, unweighted. Inputs are `(N, D)`: N samples of the batch, D dimensions.
"""

from jemlib.losses.barlow_twins import (
    BarlowTwinsLoss,
    barlow_twins,
    barlow_twins_gradient,
    cross_correlation,
    invariance_term,
    off_diagonal,
    redundancy_term,
    standardize,
)
from jemlib.losses.info_nce import ContrastiveLoss, decoupled_info_nce, info_nce, nt_xent
from jemlib.losses.vicreg import VICRegLoss, covariance_matrix, covariance_penalty, variance_hinge, vicreg

__all__ = [
    "BarlowTwinsLoss",
    "ContrastiveLoss",
    "VICRegLoss",
    "barlow_twins",
    "barlow_twins_gradient",
    "covariance_matrix",
    "covariance_penalty",
    "cross_correlation",
    "decoupled_info_nce",
    "info_nce",
    "invariance_term",
    "nt_xent",
    "off_diagonal",
    "redundancy_term",
    "standardize",
    "variance_hinge",
    "vicreg",
]
