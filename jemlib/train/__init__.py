"""Training: the visible loop and its one step, the history, checkpoints, optimisers."""

from jemlib.scales import SCALES, Scale, adjusted_scale, current_scale
from jemlib.train.checkpoint import (
    Checkpoint,
)
from jemlib.train.device import (
    default_device,
    native_bf16,
    quiet,
)
from jemlib.train.history import (
    History,
)
from jemlib.train.loop import (
    fit,
)
from jemlib.train.optimizers import (
    LARS,
    build_optimizer,
    learning_rate,
)
from jemlib.train.order import (
    batches,
    random_state,
)

__all__ = [
    "LARS",
    "SCALES",
    "Checkpoint",
    "History",
    "Scale",
    "adjusted_scale",
    "batches",
    "build_optimizer",
    "current_scale",
    "default_device",
    "fit",
    "learning_rate",
    "native_bf16",
    "quiet",
    "random_state",
]
