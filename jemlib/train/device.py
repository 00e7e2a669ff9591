"""Where a run computes, in which precision, and whether it shows progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def native_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies matrices in bf16, rather than emulating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        probes = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
        return any(probe() for probe in probes if probe is not None)
    return False


def computes_in_bf16(precision: str, device: torch.device) -> bool:
    """What a scale's precision means on a device: "auto" takes bf16 where it is native."""
    return precision == "bf16" or (precision == "auto" and native_bf16(device))


def looks(device: torch.device, logs: bool) -> bool:
    """Whether a step looks for NaN: always where that costs nothing; on a GPU where the log waits for it anyway."""
    return device.type == "cpu" or logs


@contextmanager
def tuned_kernels() -> Iterator[None]:
    """Inside, cuDNN tries its algorithms on each new shape and keeps the quickest; training has few shapes."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def hide_progress() -> bool:
    """No progress bars in CI."""
    return bool(os.environ.get("CI"))
