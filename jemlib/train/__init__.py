"""Training: the visible loop and its one step, the history, checkpoints, optimisers."""

from jemlib.scales import SCALES, Scale, adjusted_scale, current_scale
from jemlib.train.device import default_device, hide_progress, looks, native_bf16, tuned_kernels
from jemlib.train.history import History
from jemlib.train.loop import fit
from jemlib.train.optimizers import build_optimizer
from jemlib.train.step import train_step
