"""Theory as curves: collapse made precise (`collapse`), and the linear dynamics of learning (`dynamics`)."""

from jemlib.theory.collapse import (
    critical_noise,
    curvature,
    gradient_norm,
    predicted_curvature,
    scale_coefficient,
    trivial_start,
    vicreg_variance_hinge,
)
from jemlib.theory.dynamics import (
    ContrastiveDynamics,
    cosine_mode_dynamics,
    critical_weight_decay,
    fixed_points,
    linear_contrastive_dynamics,
    linear_contrastive_loss,
    matrix_dynamics,
    mode_dynamics,
)
