"""A recorded trace of training against an independent one: which image, which seed, which rate at each step.

The references are written here, with torch alone. A method that writes down what happens to it is trained by `fit`, and
a hook of torch's own writes down what each optimiser was about to do.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from jemlib.data import Images
from jemlib.methods import Batch, Method
from jemlib.train import fit

IMAGES, BATCH, STEPS, PEAK, WARMUP, DECAY = 22, 8, 7, 0.05, 3, 0.1  # two batches an epoch; six images are left over
SETTINGS: dict[str, Any] = {
    "batch_size": BATCH, "steps": STEPS, "learning_rate": PEAK, "warmup": WARMUP, "weight_decay": DECAY,
    "optimizer": "sgd", "precision": "float32",
}  # fmt: skip


class Loss(NamedTuple):
    total: Tensor
    spread: Tensor


class Recorder(Method):
    """A small network that writes down each call: its name, what it was given, and whether it was in training mode."""

    name = "recorder"

    def __init__(self, **settings: Any) -> None:
        super().__init__(widths=(), views="none", **settings)
        self.backbone = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 4), nn.LayerNorm(4))
        self.trace: list[tuple[str, bool, Any]] = []
        self.losses: list[Loss] = []
        self.clock: Callable[[], None] = lambda: None

    def note(self, call: str, *given: Any) -> None:
        self.trace.append((call, all(part.training for part in self.modules()), given))

    def make_views(self, pixels: Tensor, generator: torch.Generator) -> list[Tensor]:
        state = generator.get_state()
        self.note("make_views", pixels.clone(), generator.initial_seed(), state, torch.is_autocast_enabled("cpu"))
        return [self.view(pixels, generator) for _ in range(2)]

    @staticmethod
    def view(pixels: Tensor, generator: torch.Generator) -> Tensor:
        return pixels / 255 + 0.1 * torch.rand(pixels.shape, generator=generator)

    def before_step(self, batch: Batch) -> None:
        self.note("before_step", batch.images, batch.index.clone(), batch.progress, torch.is_autocast_enabled("cpu"))

    def step(self, batch: Batch) -> Loss:
        self.note("step", batch.progress, torch.is_autocast_enabled("cpu"))
        dtype = next(self.parameters()).dtype
        self.losses.append(self.loss(*(self.backbone(view.to(dtype)) for view in batch.views)))
        return self.losses[-1]

    @staticmethod
    def loss(a: Tensor, b: Tensor) -> Loss:
        spread = a.std(dim=0).mean()
        # The last term gives every parameter a gradient that is not rounding, which AdamW would make large.
        return Loss((a - b).square().mean() - 0.1 * spread + 0.1 * (b - 1).square().mean(), spread)

    def after_step(self, progress: float) -> None:
        self.note("after_step", progress, {n: p.detach().clone() for n, p in self.backbone.named_parameters()})
        self.clock()

    def calls(self, name: str) -> list[Any]:
        return [given for call, _, given in self.trace if call == name]


@pytest.fixture
def images() -> Images:
    return random_images(0)


def random_images(seed: int, count: int = IMAGES, name: str = "dots") -> Images:
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Images(pixels, torch.zeros(count, dtype=torch.long), ("one",), name=name)


def recorder(seed: int = 5) -> Recorder:
    torch.manual_seed(seed)
    return Recorder()


def traced(images: Images, seed: int = 0, method: Recorder | None = None, **settings: Any) -> Recorder:
    method = method or recorder()
    fit(method, images, scale="smoke", seed=seed, device="cpu", **{**SETTINGS, **settings})
    return method


# --- the references ---------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One step of the independent trace."""

    index: list[int]
    view_seed: int
    rate: float


def reference(seed: int, steps: int = STEPS, warmup: int = WARMUP) -> list[Step]:
    """Each epoch a permutation from a seed of its own, counted down from -1; each step's views counted up from 0."""
    trace: list[Step] = []
    for epoch in range(math.ceil(steps / (IMAGES // BATCH))):
        start = (1_000_003 * seed - 1 - epoch) % 2**62
        order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(start)).tolist()
        for first in range(0, IMAGES - BATCH + 1, BATCH):
            step = len(trace)
            if step < warmup:
                rate = PEAK * (step + 1) / warmup
            else:
                rate = PEAK * (0.5 + 0.5 * math.cos(math.pi * (step - warmup) / (steps - warmup)))
            trace.append(Step(order[first : first + BATCH], 1_000_003 * seed + step, rate))
    return trace[:steps]


class SGD:
    """v <- 0.9 v + g + decay w,  w <- w - rate v."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def update(self, name: str, w: Tensor, g: Tensor, rate: float) -> Tensor:
        g = g + self.decay(w) * w
        velocity = 0.9 * self.state.get(name, torch.zeros_like(w)) + g
        self.state[name] = velocity
        return w - rate * velocity

    @staticmethod
    def decay(w: Tensor) -> float:
        """Matrices shrink; biases and the scale and shift of norms do not."""
        return DECAY if w.ndim > 1 else 0.0


class AdamW(SGD):
    """w <- (1 - rate decay) w - rate m^ / (sqrt(v^) + 1e-8), m^ and v^ running means over 10 and 1000 steps."""

    def update(self, name: str, w: Tensor, g: Tensor, rate: float) -> Tensor:
        m, v, t = self.state.get(name, (torch.zeros_like(w), torch.zeros_like(w), 0))
        m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, t + 1
        self.state[name] = (m, v, t)
        return w * (1 - rate * self.decay(w)) - rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)


def trained_by_hand(method: Recorder, images: Images, seed: int, optimizer: SGD) -> Iterator[dict[str, Tensor]]:
    """The weights after each step of a loop that shares nothing with `fit` but the network and its loss."""
    weights = {name: p.detach().clone() for name, p in method.backbone.named_parameters()}
    for step in reference(seed):
        generator = torch.Generator().manual_seed(step.view_seed)
        views = [method.view(images.pixels[step.index], generator).double() for _ in range(2)]
        leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
        outputs = [torch.func.functional_call(method.backbone, leaves, (view,)) for view in views]
        gradients = torch.autograd.grad(method.loss(*outputs).total, list(leaves.values()))
        for (name, w), g in zip(weights.items(), gradients):
            weights[name] = optimizer.update(name, w, g, step.rate)
        yield dict(weights)


# --- the trace --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_every_step_sees_its_images_its_seed_and_its_progress(images: Images, seed: int) -> None:
    method = traced(images, seed)
    expected = reference(seed)
    assert [call for call, *_ in method.trace] == ["make_views", "before_step", "step", "after_step"] * STEPS
    for t, step in enumerate(expected):
        pixels, view_seed, state, _ = method.calls("make_views")[t]
        assert torch.equal(pixels, images.pixels[step.index])
        assert view_seed == step.view_seed
        assert torch.equal(state, torch.Generator().manual_seed(step.view_seed).get_state()), "the stream is untouched"
        whole, index, progress, _ = method.calls("before_step")[t]
        assert torch.equal(whole.pixels, images.pixels)
        assert torch.equal(whole.labels, images.labels)
        assert index.tolist() == step.index
        assert progress == t / STEPS
        assert method.calls("step")[t][0] == t / STEPS, "what `before_step` got reaches the step"
        assert method.calls("after_step")[t][0] == (t + 1) / STEPS


@pytest.mark.parametrize(("precision", "expected"), [("float32", False), ("bf16", True)])
def test_the_step_alone_runs_in_the_precision_of_the_scale(images: Images, precision: str, expected: bool) -> None:
    method = traced(images, precision=precision)
    assert {given[1] for given in method.calls("step")} == {expected}
    assert {given[3] for given in method.calls("make_views")} == {False}
    assert {given[3] for given in method.calls("before_step")} == {False}, "clustering stays in full precision"


def test_an_epoch_shows_no_image_twice_and_each_epoch_has_an_order_of_its_own(images: Images) -> None:
    orders = {}
    for seed in (0, 1):
        index = [given[1].tolist() for given in traced(images, seed, steps=8).calls("before_step")]
        for epoch in range(4):
            orders[seed, epoch] = tuple(index[2 * epoch] + index[2 * epoch + 1])
    assert all(len(set(order)) == 2 * BATCH for order in orders.values())
    assert len(set(orders.values())) == 8
    left_over = [set(range(IMAGES)) - set(order) for order in orders.values()]
    assert set.intersection(*left_over) == set(), "the images of the last batch that is not full are others each time"


def test_no_two_steps_of_four_seeds_draw_the_same_numbers(images: Images) -> None:
    drawn = set()
    for seed in range(4):
        for *_, state, _ in traced(images, seed).calls("make_views"):
            generator = torch.Generator()
            generator.set_state(state)
            drawn.add(tuple(torch.rand(4, generator=generator).tolist()))
    assert len(drawn) == 4 * STEPS


def test_twenty_seeds_of_a_long_run_share_no_stream() -> None:
    """The seeds of the trace above, for 200 epochs of CIFAR-10. A generator takes the low 32 bits and no others."""
    a, b = (torch.rand(3, generator=torch.Generator().manual_seed(5 + high * 2**32)) for high in (0, 1))
    assert torch.equal(a, b)
    first = 1_000_003 * torch.arange(20)[:, None]
    views, orders = first + torch.arange(200 * 97), (first - 1 - torch.arange(200)) % 2**62
    used = torch.cat([views.flatten(), orders.flatten()]) % 2**32
    assert len(used.unique()) == len(used)


# --- the optimiser ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [0, WARMUP])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_group_steps_at_the_scheduled_rate_and_matrices_alone_decay(
    images: Images, optimizer: str, warmup: int
) -> None:
    seen = []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        seen.append([(group["lr"], group["weight_decay"], group["params"]) for group in optimizer.param_groups])

    method, hook = recorder(), register_optimizer_step_pre_hook(note)
    try:
        traced(images, method=method, optimizer=optimizer, warmup=warmup)
    finally:
        hook.remove()
    assert len(seen) == STEPS
    for groups, expected in zip(seen, reference(0, warmup=warmup)):
        assert [rate for rate, *_ in groups] == pytest.approx([expected.rate] * len(groups), rel=1e-12)
        decays = {id(p): decay for _, decay, parameters in groups for p in parameters}
        assert decays == {id(p): DECAY if p.ndim > 1 else 0.0 for p in method.parameters()}
        assert sum(len(parameters) for *_, parameters in groups) == len(decays)


@pytest.mark.parametrize(("name", "optimizer"), [("sgd", SGD), ("adamw", AdamW)])
def test_the_weights_after_every_step_are_those_of_a_loop_written_by_hand(
    images: Images, name: str, optimizer: type[SGD]
) -> None:
    expected = trained_by_hand(recorder().double(), images, 3, optimizer())
    method = traced(images, 3, recorder().double(), optimizer=name)
    for step, (weights, (_, found)) in enumerate(zip(expected, method.calls("after_step"), strict=True)):
        for key, value in weights.items():
            what = f"{key} after step {step}"
            torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-8, msg=partial(found_in, what))


def found_in(what: str, message: str) -> str:
    return f"{what}: {message}"


# --- modes, history, stops --------------------------------------------------------------------------------------


def test_every_call_is_in_training_mode_also_of_a_second_fit_and_the_end_is_not(images: Images) -> None:
    method = recorder().eval()
    for _ in range(2):
        method.trace.clear()
        traced(images, method=method)
        assert [training for _, training, _ in method.trace] == [True] * 4 * STEPS
        assert not any(part.training for part in method.modules())


def test_the_history_has_the_steps_rates_and_terms_of_the_trace(images: Images) -> None:
    method, logged = recorder(), []
    settings = {**SETTINGS, "log_every": 3, "on_log": lambda *given: logged.append(given)}
    history = fit(method, images, scale="smoke", device="cpu", **settings)
    at = [3, 6, 7]  # every third, and the last
    assert history["step"] == at
    assert history["images_seen"] == [BATCH * step for step in at]
    assert history["learning_rate"] == pytest.approx([reference(0)[step - 1].rate for step in at])
    assert history["total"] == [method.losses[step - 1].total.item() for step in at]
    assert history["spread"] == [method.losses[step - 1].spread.item() for step in at]
    assert logged == [(method, row) for row in history.rows]


class Clock:
    """A clock that a test sets, in place of `time.perf_counter`."""

    now = 500.0

    def __call__(self) -> float:
        return self.now

    def tick(self) -> None:
        self.now += 1


class Stopped(Exception):
    pass


def stop_by_an_error(method: Method, row: dict[str, float]) -> None:
    if row["step"] == 4:
        raise Stopped


def stop_by_ctrl_c(method: Method, row: dict[str, float]) -> None:
    if row["step"] == 4:
        signal.raise_signal(signal.SIGINT)


def stopped(images: Images, folder: Path, stop: Callable[..., None] = stop_by_an_error, **settings: Any) -> Recorder:
    """A run that ended early, with a checkpoint after every step that was logged."""
    method = settings.pop("method", None) or recorder()
    settings = {**SETTINGS, "log_every": 1, "checkpoint_seconds": 0.0, **settings}
    with contextlib.suppress(Stopped):
        fit(method, images, scale="smoke", device="cpu", out=folder, on_log=stop, **settings)
    return method


@pytest.mark.parametrize("stop", [stop_by_an_error, stop_by_ctrl_c])
def test_the_seconds_before_a_stop_are_kept(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Callable[..., None]
) -> None:
    """Every step takes a second of the test's clock, and between the two runs passes an hour, which does not count."""
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    method, again = recorder(), recorder()
    method.clock = again.clock = clock.tick
    stopped(images, tmp_path, stop, method=method)
    clock.now += 3600
    history = fit(again, images, scale="smoke", device="cpu", out=tmp_path, **SETTINGS, log_every=1)
    assert history["step"] == history["seconds"] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("stop", [stop_by_an_error, stop_by_ctrl_c])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_resumed_run_has_the_rest_of_the_trace_bit_for_bit(
    images: Images, tmp_path: Path, optimizer: str, stop: Callable[..., None]
) -> None:
    whole = traced(images, optimizer=optimizer)
    first = stopped(images, tmp_path, stop, optimizer=optimizer)
    assert len(first.calls("step")) == 4
    assert first.training == (stop is stop_by_an_error)  # an error leaves it as it was
    resumed = traced(images, method=recorder(seed=6), optimizer=optimizer, out=tmp_path)
    done = STEPS - len(resumed.calls("step"))
    assert done == (3 if stop is stop_by_an_error else 4)
    for name in ("make_views", "before_step", "step", "after_step"):
        for found, expected in zip(resumed.calls(name), whole.calls(name)[done:], strict=True):
            assert all(same(a, b) for a, b in zip(found, expected))


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    if isinstance(a, Images):
        return torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels)
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


class Other(Recorder):
    name = "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": random_images(0, name="stripes")}, "data 'dots' -> 'stripes'"),
        ({"images": random_images(1)}, "data_checksum '"),
        ({"images": random_images(0, count=IMAGES - 1)}, r"data_checksum .*; num_images 22 -> 21"),
        ({"method": Other()}, "method 'recorder' -> 'other'"),
        ({"method": Recorder(mask_ratio=0.5)}, r"settings\.mask_ratio 0\.0 -> 0\.5"),
        ({"seed": 1}, "seed 0 -> 1"),
        ({"steps": 9}, r"scale\.steps 7 -> 9"),
        ({"batch_size": 7}, r"scale\.batch_size 8 -> 7"),
        ({"learning_rate": 0.04}, r"scale\.learning_rate 0\.05 -> 0\.04"),
        ({"warmup": 2}, r"scale\.warmup 3 -> 2"),
        ({"optimizer": "adamw"}, r"scale\.optimizer 'sgd' -> 'adamw'"),
        ({"weight_decay": 0.2}, r"scale\.weight_decay 0\.1 -> 0\.2"),
        ({"precision": "bf16"}, r"scale\.precision 'float32' -> 'bf16'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_run_with_another_setting_or_on_other_data_is_not_resumed(
    images: Images, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    stopped(images, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    method = change.get("method") or recorder(seed=6)
    weights = {name: p.clone() for name, p in method.named_parameters()}
    settings = {key: value for key, value in change.items() if key not in ("images", "method")}
    with pytest.raises(ValueError, match=f"other settings: {message}"):
        traced(change.get("images", images), method=method, out=tmp_path, **settings)
    assert method.trace == [], "no step was taken"
    assert all(torch.equal(p, weights[name]) for name, p in method.named_parameters()), "no weight was loaded"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before, "the run of before is untouched"
