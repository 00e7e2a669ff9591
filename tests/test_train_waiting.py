"""A step hands its work to a GPU without waiting for it. What can be seen of that on a processor is tested there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from jemlib import validate
from jemlib.data import Images, load
from jemlib.losses import proto_nce, vicreg
from jemlib.losses.swav import sinkhorn
from jemlib.methods import METHODS, PCL, Method, build
from jemlib.nets import features
from jemlib.scales import SCALES
from jemlib.train import build_optimizer, fit, looks, train_step
from jemlib.train.order import batches

# Operations whose result the processor needs before it can go on.
WAITING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "_unique2", "unique_dim")


class Waits(TorchDispatchMode):
    """Records the operations of a block that would make the processor wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put_") and any(x is not None and x.dtype == torch.bool for x in args[1])
        if name in WAITING or by_mask:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def images() -> Images:
    return load("motifs", "train", limit=160)


def ready(name: str, images: Images, optimizer: str = "sgd") -> tuple[Method, torch.optim.Optimizer]:
    """A method in training mode, PCL with its clusters, and the optimiser of scale `gpu`."""
    method = build(name, scale="smoke").to(images.pixels.device).train()
    if isinstance(method, PCL):
        method.e_step(images)
    return method, build_optimizer(optimizer, method, 1e-3, 1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_nothing_in_a_step_that_does_not_check_looks_at_a_value(
    name: str, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, optimizer = ready(name, images)
    generator, index = torch.Generator().manual_seed(0), torch.arange(32)
    # Made beforehand: on a processor views are made of the chosen samples alone, which a GPU does not do.
    made = method.make_views(images.pixels[index], generator)
    monkeypatch.setattr(method, "make_views", lambda pixels, generator: made)
    with Waits() as quiet:
        train_step(method, optimizer, images, index, generator, check=False)
    assert quiet.seen == []
    with Waits() as looking:
        train_step(method, optimizer, images, index, generator)
    assert name == "supervised" or looking.seen  # so the recorder sees


def test_a_loss_of_ones_own_is_looked_at_in_its_first_call_and_where_the_step_checks(images: Images) -> None:
    method = build("vicreg", scale="smoke", loss=lambda a, b: vicreg(a, b).total).train()
    optimizer, seen = build_optimizer("sgd", method, 1e-3, 1e-4), []
    generator, index = torch.Generator().manual_seed(0), torch.arange(32)
    made = method.make_views(images.pixels[index], generator)
    method.make_views = lambda pixels, generator: made  # type: ignore[method-assign]
    for check in (False, True, True, False):
        with Waits() as waits:
            train_step(method, optimizer, images, index, generator, check=check)
        seen.append(len(waits.seen))
    assert seen[0] == seen[3] == 0
    assert seen[1] > seen[2] > 0


@pytest.mark.cuda
@pytest.mark.parametrize("name", METHODS)
def test_a_step_on_a_gpu_waits_for_nothing(name: str, images: Images) -> None:
    here = dataclasses.replace(images, factors=None).to("cuda")
    method, optimizer = ready(name, here)
    generator = torch.Generator("cuda").manual_seed(0)
    index = torch.arange(32, device="cuda")
    train_step(method, optimizer, here, index, generator, bf16=True)  # the first one loads kernels
    with silent_gpu():
        train_step(method, optimizer, here, index, generator, bf16=True, check=False)


@contextmanager
def silent_gpu() -> Iterator[None]:
    """To wait for the GPU inside is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["swav", "dino", "pcl"])
def test_a_step_that_does_not_check_moves_the_weights_as_one_that_does(name: str, images: Images) -> None:
    here = dataclasses.replace(images, factors=None).to("cuda")
    assert_same_step(name, here)


@pytest.mark.parametrize("name", METHODS)
def test_to_check_or_not_makes_no_difference_to_the_weights(name: str, images: Images) -> None:
    assert_same_step(name, images)


def assert_same_step(name: str, images: Images) -> None:
    found = []
    device = images.pixels.device
    for check in (True, False):
        method, optimizer = ready(name, images)
        generator = torch.Generator(device).manual_seed(0)
        train_step(method, optimizer, images, torch.arange(32, device=device), generator, check=check)
        found.append(dict(method.named_parameters()))
    assert_close(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["vicreg", "byol", "dino", "simdino", "swav", "pcl", "sigreg", "simclr", "barlow_twins"]
)
def test_a_run_that_diverged_unseen_is_named_by_the_next_step_that_looks(name: str, images: Images) -> None:
    method, optimizer = ready(name, images)
    with torch.no_grad():
        method.projector[0].weight.fill_(float("inf"))
    generator, index = torch.Generator().manual_seed(0), torch.arange(32)
    for step in range(2):
        train_step(method, optimizer, images, index, generator, step=step, steps=9, check=False)
    with pytest.raises(FloatingPointError, match=rf"{name} diverged at step 2: .* must be finite.*lower learning rate"):
        train_step(method, optimizer, images, index, generator, step=2, steps=9)


def test_a_gpu_looks_when_it_logs_and_a_processor_always() -> None:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert [looks(d, logs) for d in (gpu, cpu) for logs in (False, True)] == [False, True, True, True]


def test_which_steps_look_on_a_gpu_are_the_first_and_the_logged_ones(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []

    def step(*args, check: bool, **how):
        looked.append(check)
        return train_step(*args, check=check, **how)

    monkeypatch.setattr("jemlib.train.loop.train_step", step)
    monkeypatch.setattr("jemlib.train.loop.looks", lambda device, logs: looks(torch.device("cuda"), logs))
    scale = dataclasses.replace(SCALES["smoke"], batch_size=32, steps=7, warmup=1)
    fit(build("simsiam", scale=scale), images, scale=scale, log_every=3)
    assert looked == [True, False, True, False, False, True, True]


@pytest.mark.parametrize("iterations", [0, 1, 3, 10])
@pytest.mark.parametrize(("spread", "epsilon"), [(1, 0.05), (1, 0.5), (20, 0.05), (3, 0.01)])
def test_codes_that_were_balanced_blindly_are_the_same(spread: float, epsilon: float, iterations: int) -> None:
    scores = spread * torch.randn(40, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with validate.blind():
        blindly = sinkhorn(scores, epsilon, iterations)
    assert_close(blindly, sinkhorn(scores, epsilon, iterations), rtol=1e-6, atol=1e-9)


def test_blind_checks_still_see_shapes_and_types_and_end_with_the_block() -> None:
    bad, good = torch.full((4, 2), float("nan")), torch.ones(4, 2)
    phi, wrong = torch.tensor([1.0, -1.0]), torch.tensor([0, 1, 2, 9])
    with validate.blind():
        assert vicreg(bad, bad).total.isnan()
        proto_nce(good, torch.eye(2), torch.zeros(4, dtype=torch.int64), phi)
        validate.distributions("p", -good)
        with pytest.raises(ValueError, match="same shape"):
            vicreg(good, torch.ones(3, 2))
        with pytest.raises(TypeError, match="floating point"):
            vicreg(good.long(), good)
    with pytest.raises(ValueError, match="z_a must be finite"):
        vicreg(bad, bad)
    with pytest.raises(ValueError, match=r"assignments must lie in \[0, 2\)"):
        proto_nce(good, torch.eye(2), wrong, phi.abs())


def test_the_order_is_brought_to_the_device_by_epochs_not_by_steps() -> None:
    of_an_epoch = [index for _, index in batches(70, 32, seed=0, first_step=0, steps=2, device="meta")]
    assert [index.device.type for index in of_an_epoch] == ["meta", "meta"]
    assert of_an_epoch[0]._base is of_an_epoch[1]._base  # two views of one copy


class Probe(nn.Module):
    """Notes down how convolutions would be computed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.tf32: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.tf32.append(torch.backends.cudnn.allow_tf32)
        return x.mean(dim=(2, 3)) * self.weight


def test_features_are_float32_also_inside_a_gpu_s_convolutions(images: Images) -> None:
    before, probe = torch.backends.cudnn.allow_tf32, Probe()
    features(probe, images, batch_size=100)
    assert probe.tf32 == [False, False]
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.cuda
def test_features_of_a_resnet_agree_between_cpu_and_gpu(images: Images) -> None:
    backbone, few = build("simclr", scale="smoke", backbone="resnet18").backbone, images.subset(slice(0, 32))
    expected = features(backbone, few)
    found = features(backbone.cuda(), few)
    assert (found - expected).norm() < 1e-4 * expected.norm()  # TF32 is off by some 1e-3


def test_kernels_are_chosen_by_trying_while_fit_runs_and_not_after_it(images: Images) -> None:
    before, inside = torch.backends.cudnn.benchmark, []
    scale = dataclasses.replace(SCALES["smoke"], batch_size=32, steps=1, warmup=1)
    fit(
        build("simclr", scale=scale),
        images,
        scale=scale,
        on_log=lambda method, row: inside.append(torch.backends.cudnn.benchmark),
    )
    assert inside == [True]
    assert torch.backends.cudnn.benchmark == before
