"""What every method has: a backbone, a projector, the views it wants, and one training step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jemlib import validate
from jemlib.data import Images
from jemlib.losses.precision import full_precision
from jemlib.methods.frame import Frame, check_first, check_total
from jemlib.methods.loss_file import LossFile
from jemlib.methods.settings import BaseSettings, described, setting
from jemlib.nets import BACKBONES, WAYS, build_backbone, encode_masked, head
from jemlib.views import Views, as_setting, make_views, patch_mask, resolve

# Added to the seed of a step, so that what a loss of one's own draws is not what the views were drawn from.
OWN_DRAWS = 0x10557


@dataclass(frozen=True)
class Batch:
    """What a step is given.

    Attributes:
        views: normalised images `(N, 3, 32, 32)`, one tensor for each view.
        index: `(N,)` int64, the place of these images among `images`.
        images: the training images, on the device of the views.
        progress: share of the training that is done, in [0, 1).
        generator: source of what else a step draws (masks, slices), on the device of the views.
    """

    views: Sequence[Tensor]
    index: Tensor | None = None
    images: Images | None = None
    progress: float = 0.0
    generator: torch.Generator | None = None


class Method(nn.Module):
    """A joint-embedding method. Subclasses say in `step` how a batch becomes a loss.

    Args:
        loss: a function to train with instead of the class's `loss_function`, called in the method's `frame`: it gets
            the tensors by position, and of the rest what it names. It returns a scalar, a NamedTuple with `total`, or
            the results of jemlib's function in their order. It must remember nothing from call to call.
        settings: see `Settings`; listed below and by `jem methods NAME`.
    """

    name = "method"
    num_views = 2
    # Where a method works best with few dimensions: the projector's last width is at most this, whatever a scale says.
    largest_output: int | None = None
    loss_function: Callable[..., Any]

    @dataclass(frozen=True, kw_only=True)
    class Settings(BaseSettings):
        backbone: str = setting("conv_small", "name of a backbone", choices=BACKBONES)
        widths: tuple[int, ...] = setting((256, 256), "widths of the projector's linear layers", at_least=1)
        # VICReg's views for every method, so that runs compare: the crops are larger than SimCLR's (0.2 instead of 0.08
        # of the area), and short runs learn more.
        views: Views = setting("vicreg", "name of a preset, a `Recipe`, or a recipe for each view", check=resolve)
        mask_ratio: float = setting(
            0.0, "share of patches that each view loses in training; targets see all", at_least=0, at_most=1
        )
        mask_patch: int = setting(8, "side of a masked patch in pixels", at_least=1)
        masking: str = setting("pixels", "what becomes of masked patches", choices=WAYS)
        normalize_output: bool = setting(False, "put a batch norm without affine behind the projector")

    config: Settings

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        listed = described(cls.Settings).replace("\n", "\n    ")
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\nSettings:\n    {listed}\n"

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__()
        self.config = self.Settings(**settings)
        self.views = resolve(self.config.views)
        self.backbone = build_backbone(self.config.backbone)
        widths = self.config.widths
        self.projector = head(self.backbone.dim, widths, normalize_output=self.config.normalize_output)
        self.dim = widths[-1] if widths else self.backbone.dim
        self.own_loss = loss
        self.looking, self.looked = False, False  # is this a step of a training run; has its first call been checked
        if loss is not None:
            self.frame().wanted(loss)  # refuses what cannot be called

    @classmethod
    def frame(cls) -> Frame:
        """What this method gives its loss."""
        return Frame(cls.name, cls.loss_function)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as JSON knows them: what a run folder records, and what builds the method again."""
        record = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self.config).items()}
        record["views"] = as_setting(self.config.views)
        if self.own_loss is None:
            return record
        for name in self.frame().ignored(self.own_loss, list(record)):
            del record[name]  # it goes to jemlib's loss alone
        return {**record, "loss": self.own_loss.record if isinstance(self.own_loss, LossFile) else self.whose_loss}

    @property
    def whose_loss(self) -> str:
        """The function that trains this method, in words: "jemlib's vicreg", or "your vicreg"."""
        f = self.own_loss or type(self).loss_function
        owner = "jemlib's" if str(getattr(f, "__module__", "")).startswith("jemlib.") else "your"
        return f"{owner} {getattr(f, '__name__', type(f).__name__)}"

    @classmethod
    def widths_for(cls, widths: Sequence[int]) -> tuple[int, ...]:
        """The projector's widths at a scale that proposes `widths`."""
        return tuple(widths) if cls.largest_output is None else (*widths[:-1], min(cls.largest_output, widths[-1]))

    def loss(self, *args: Any, **kwargs: Any) -> Any:
        """The loss function's result as a NamedTuple whose first field is `total`."""
        if self.own_loss is None:
            return type(self).loss_function(*args, **kwargs)
        frame, whose = self.frame(), self.whose_loss
        given, named = frame.arguments(self.own_loss, args, kwargs)
        # As jemlib's own: outside autocast, on float32.
        given = [_as_full(value) for value in given]
        found = frame.named(full_precision(self.own_loss)(*given, **named), whose)
        if self.looking and not self.looked and validate.may_look(found.total):
            check_first(found.total, given, whose)
            self.looked = True
        check_total(found.total, whose)
        return found

    @contextmanager
    def training_step(self, batch: Batch) -> Iterator[None]:
        """Around a step of a training run: a loss of one's own is looked at, and draws by the seed of the step.

        So a function that calls `torch.rand` draws the same in a resumed run. jemlib's own take `batch.generator`.
        """
        if self.own_loss is None or batch.generator is None:
            yield
            return
        device = batch.views[0].device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(batch.generator.initial_seed() ^ OWN_DRAWS)
            self.looking = True
            try:
                yield
            finally:
                self.looking = False

    def term(self, loss: Any, name: str, setting: str) -> Tensor:
        """A named term of a loss, which a setting puts in place of the total; one's own may not have it."""
        if not hasattr(loss, name):
            raise ValueError(
                f"{setting} needs the term {name!r} of the loss, and {self.whose_loss} returns no such term."
            )
        value: Tensor = getattr(loss, name)
        return value

    def embed(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Normalised images `(N, 3, 32, 32)` -> embeddings `(N, D)`, on which the loss works."""
        embeddings: Tensor = self.projector(self.encode(images, generator))
        return embeddings

    def embed_views(self, batch: Batch) -> list[Tensor]:
        """The embeddings `(N, D)` of each view."""
        return [self.embed(view, batch.generator) for view in batch.views]

    def encode(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Normalised images -> features of the backbone; while training, through the mask if there is one."""
        ratio, patch = self.config.mask_ratio, self.config.mask_patch
        if ratio == 0 or not self.training:
            features: Tensor = self.backbone(images)
            return features
        size, device = images.shape[-1], images.device
        mask = patch_mask(len(images), ratio, patch=patch, size=size, generator=generator, device=device)
        return encode_masked(self.backbone, images, mask, self.config.masking)

    def make_views(self, pixels: Tensor, generator: torch.Generator) -> Sequence[Tensor]:
        """The views of a batch `(N, 3, H, W)` uint8: one `(N, 3, 32, 32)` tensor each."""
        return make_views(pixels, self.views, num_views=self.num_views, generator=generator).unbind()

    def before_step(self, batch: Batch) -> None:
        """Called before each step, in full precision; clustering of all images happens here."""

    def step(self, batch: Batch) -> Any:
        """A batch -> a loss NamedTuple whose `total` is to be minimised."""
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step; `progress` is in (0, 1]. Momentum encoders move here."""


def _as_full(value: Any) -> Any:
    """16-bit tensors, and those in a list of views, as float32; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return [_as_full(one) for one in value]
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value


def images_of(batch: Batch) -> tuple[Images, Tensor]:
    """The training images of a batch and its place in them, for the methods that need them.

    Raises:
        ValueError: the batch was made without them.
    """
    if batch.images is None or batch.index is None:
        raise ValueError("batch must hold the training images and the index of its own among them; got views alone.")
    return batch.images, batch.index
