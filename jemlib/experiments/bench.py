"""Speed: the complete training step against the bare backbone, and against other libraries, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from jemlib.data import Images, load
from jemlib.methods import Method, build
from jemlib.scales import SCALES, Scale
from jemlib.train import build_optimizer, default_device, looks, native_bf16, train_step
from jemlib.views import Views, make_views, normalize

BATCH = 256
LOADED_AHEAD = 16  # batches that a loader of 8 workers holds ready, two each


# What `jem bench` measures; `gpu` is measured by `jem gpu`.
SMALL = replace(SCALES["cpu"], batch_size=BATCH, learning_rate=4e-3)


def autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=native_bf16(device))


def bare_step(batch: int = BATCH, scale: Scale = SMALL) -> tuple[Callable[[], None], int]:
    """Forward and backward of the backbone alone on two views that are already there: `(step, views a step)`."""
    device = default_device()
    backbone = build("simclr", scale=scale).backbone.to(device).to(memory_format=torch.channels_last).train()
    views = [normalize(load("motifs", "train", limit=batch).pixels).to(device) for _ in range(2)]

    def step() -> None:
        with autocast(device):
            loss = sum((backbone(view).float().square().mean() for view in views), torch.zeros((), device=device))
        backbone.zero_grad(set_to_none=True)
        loss.backward()

    return step, 2 * batch


def some_images(count: int = 4096) -> Images:
    """Training images on the device, for the steps below."""
    images, device = load("motifs", "train", limit=count), default_device()
    return replace(images, pixels=images.pixels.to(device), labels=images.labels.to(device), factors=None)


def complete_step(
    method: str | Method, batch: int = BATCH, scale: Scale = SMALL, images: Images | None = None
) -> tuple[Callable[[], Any], int]:
    """The whole two-view training step, as `fit` takes it: augment, embed, loss, backward, update."""
    device = default_device()
    method = build(method, scale=scale) if isinstance(method, str) else method
    method = method.to(device).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(scale.optimizer, method, scale.learning_rate, scale.weight_decay)
    images = images or some_images()
    generator = torch.Generator(device).manual_seed(0)
    how = {"bf16": native_bf16(device), "check": looks(device, False)}

    def step() -> Any:
        index = torch.randint(len(images), (batch,), device=device, generator=generator)
        return train_step(method, optimizer, images, index, generator, **how)

    return step, 2 * batch


def augmentation_step(
    batch: int = BATCH, views: Views = "simclr", device: torch.device | str = "cpu"
) -> tuple[Callable[[], None], int]:
    """Our views of a batch, both in one call; on a processor unless asked, as the peers' are made."""
    pixels = load("motifs", "train", limit=batch).pixels.to(device)
    generator = torch.Generator(device).manual_seed(0)

    def step() -> None:
        make_views(pixels, views, generator=generator)

    return step, 2 * batch


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def lightly_step(batch: int = BATCH, *, tuned: bool = False) -> tuple[Callable[[], None], int]:
    """The `lightly` SimCLR recipe with our backbone: its transform, a data loader of PIL images, its loss.

    Without blur, as in its CIFAR-10 benchmark and in our views. As its example stands it trains in float32 by plain
    SGD, with 8 workers. `tuned` gives it what our step has: bf16, channels_last, fused AdamW, one worker a thread.
    """
    from lightly.loss import NTXentLoss
    from lightly.transforms import SimCLRTransform
    from torch.utils.data import DataLoader
    from torchvision.transforms.functional import to_pil_image

    pictures = [to_pil_image(image) for image in load("motifs", "train", limit=4096).pixels]
    transform = SimCLRTransform(input_size=32, gaussian_blur=0.0)

    class Pictures(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, index: int) -> Any:
            return transform(pictures[index])

    workers = torch.get_num_threads() if tuned else 8
    loader = DataLoader(Pictures(), batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=True)

    def forever() -> Any:
        while True:
            yield from loader

    method = build("simclr", scale="cpu").train()
    if tuned:
        method = method.to(memory_format=torch.channels_last)
        optimizer = build_optimizer("adamw", method, 4e-3, 1e-4)
    else:
        optimizer = torch.optim.SGD(method.parameters(), lr=0.06)
    criterion, source = NTXentLoss(temperature=0.5), forever()

    def step() -> None:
        view_a, view_b = next(source)
        with torch.autocast("cpu", torch.bfloat16, enabled=tuned and native_bf16(torch.device("cpu"))):
            loss = criterion(method.embed(view_a), method.embed(view_b))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step, 2 * batch


def kornia_step(batch: int = BATCH) -> tuple[Callable[[], None], int]:
    """kornia's augmentations with the settings of our `simclr` preset, on 2N images at once."""
    import kornia.augmentation as K

    pixels = load("motifs", "train", limit=batch).pixels
    chain = nn.Sequential(
        K.RandomResizedCrop((32, 32), scale=(0.08, 1.0), cropping_mode="resample"),
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.Normalize(mean=torch.tensor([0.4914, 0.4822, 0.4465]), std=torch.tensor([0.2470, 0.2435, 0.2616])),
    )
    doubled = torch.cat([pixels, pixels])

    def step() -> None:
        with torch.no_grad():
            chain(doubled.float() / 255)

    return step, 2 * batch


def torchvision_step(batch: int = 64) -> tuple[Callable[[], None], int]:
    """torchvision's transforms with the settings of our `simclr` preset, image by image as a data loader does."""
    from torchvision.transforms import v2
    from torchvision.transforms.functional import to_pil_image

    pictures = [to_pil_image(image) for image in load("motifs", "train", limit=batch).pixels]
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(32, scale=(0.08, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ]
    )

    def step() -> None:
        views: list[Tensor] = [transform(p) for p in pictures for _ in range(2)]
        torch.stack(views)

    return step, 2 * batch


def rates(steps: dict[str, tuple[Callable[[], Any], int]], seconds: float, rounds: int) -> dict[str, float]:
    """Views a second of each step: medians over rounds in which all take turns, so that noise hits all alike."""
    for step, _ in steps.values():
        step()
        step()
    synchronize(default_device())
    measured: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, (step, views) in steps.items():
            started, count = time.perf_counter(), 0
            while time.perf_counter() - started < seconds / rounds:
                step()
                count += views
            synchronize(default_device())  # a GPU may still be at it
            measured[name].append(count / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in measured.items()}


def bench(*, peers: bool = False, seconds: float = 10.0, rounds: int = 9) -> dict[str, Any]:
    """Measure, and put the ratios beside the rates.

    Args:
        peers: also measure lightly, kornia and torchvision (`pip install -e '.[bench]'`).
        seconds: for each thing measured.
        rounds: how many turns; the median over them is reported.

    Returns:
        `{"views_per_second": {...}, "ratios": {...}}`. A view is one augmented image; a two-view step has two.
    """
    names = ("simclr", "barlow_twins", "vicreg")
    steps = {"backbone, bare": bare_step(), **{f"complete step, {n}": complete_step(n) for n in names}}
    found = rates(steps, seconds, rounds)
    ratios = {f"{n}, complete / bare": found[f"complete step, {n}"] / found["backbone, bare"] for n in names}
    if peers:
        views = {"ours": augmentation_step(), "kornia": kornia_step(), "torchvision": torchvision_step()}
        found |= rates({f"views, {name}": step for name, step in views.items()}, seconds, rounds)
        for other in ("kornia", "torchvision"):
            ratios[f"views, ours / {other}"] = found["views, ours"] / found[f"views, {other}"]
        # Not in turns: lightly's loader works ahead in the background, and would do so at the cost of the other. For
        # the same reason its first batches do not count: they were made before the clock started.
        found |= rates({"step, ours": complete_step("simclr")}, seconds, rounds)
        for recipe, tuned in (("its example", False), ("tuned as ours", True)):
            peer, views_a_step = lightly_step(tuned=tuned)
            for _ in range(LOADED_AHEAD):
                peer()
            found |= rates({f"step, lightly, {recipe}": (peer, views_a_step)}, 2 * seconds, 3)
            ratios[f"step, ours / lightly, {recipe}"] = found["step, ours"] / found[f"step, lightly, {recipe}"]
            del peer  # and with it the loader's processes
    return {"batch": BATCH, "views_per_second": found, "ratios": ratios}


def median_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Several runs of `bench` as one record: the median of each figure, and all ratios beside it."""
    middle = {
        part: {name: statistics.median(run[part][name] for run in runs) for name in runs[0][part]}
        for part in ("views_per_second", "ratios")
    }
    return {"batch": runs[0]["batch"], "runs": len(runs), **middle, "ratios_of_each_run": [r["ratios"] for r in runs]}
