"""CIFAR-10 through torchvision, with a held-out validation split and errors that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from jemlib import validate
from jemlib.data.images import SPLITS, Images, data_folder, permutation

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

VALIDATION_SHARE = 10  # one image in ten of the training images is held out: 5,000 of 50,000


def load(split: str, root: str | Path | None = None) -> Images:
    """CIFAR-10, downloaded once (170 MB, with a checksum) when it is not there yet.

    Args:
        split: `train` (45,000 images), `validation` (5,000 of the 50,000 training images, chosen by a fixed
            permutation, the same for everyone) or `test` (the official 10,000).
        root: where the data lives; default: the environment variable JEMLIB_DATA, or `~/.cache/jemlib`.

    Raises:
        ValueError: unknown split.
        FileNotFoundError: the data is not there and could not be fetched.
        RuntimeError: the data is there and damaged.
    """
    validate.choice("split", split, SPLITS)
    dataset = _open(Path(root).expanduser() if root is not None else data_folder(), train=split != "test")
    pixels = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(dataset.targets, dtype=torch.int64)
    images = Images(pixels, labels, tuple(dataset.classes), name="cifar10", split=split)
    if split == "test":
        return images
    order = permutation(len(images), seed=10)
    held_out = len(images) // VALIDATION_SHARE
    return images.subset(order[:held_out] if split == "validation" else order[held_out:])


def _open(root: Path, *, train: bool) -> CIFAR10:
    """torchvision's data set, or an error that names the file to fetch by hand."""
    from torchvision.datasets import CIFAR10  # here, because to import it takes as long as to import torch

    by_hand = (
        f"Put {CIFAR10.filename} (from {CIFAR10.url}, md5 {CIFAR10.tgz_md5}) into {root}; it is unpacked there. "
        "The set 'motifs' needs no download."
    )
    try:
        return CIFAR10(str(root), train=train, download=True)
    except OSError as error:  # URLError, a refused connection, a folder that cannot be written
        raise FileNotFoundError(
            f"CIFAR-10 is not in {root}, or not whole, and could not be fetched: {error}. {by_hand}"
        ) from error
    except RuntimeError as error:  # torchvision: a checksum does not match
        raise RuntimeError(
            f"CIFAR-10 in {root} is damaged ({error}) Delete {CIFAR10.filename} and {CIFAR10.base_folder} there and "
            f"try again. {by_hand}"
        ) from error
