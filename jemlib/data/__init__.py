"""Images in memory: generated `motifs`, `cifar10`, or a `folder:PATH` of your own.

images = load("motifs", "train", limit=5000)
images.pixels     # uint8 (N, 3, 32, 32)
images.labels     # int64 (N,)
images.factors    # what each image was drawn from, or None
"""

from __future__ import annotations

from pathlib import Path

from jemlib import validate
from jemlib.data import cifar10, folder, motifs
from jemlib.data.images import SPLITS, Images, keep_some, permutation, progress

NAMES = ("motifs", "cifar10", "folder:PATH")


def load(name: str, split: str, *, root: str | Path | None = None, limit: int | None = None, seed: int = 0) -> Images:
    """One split of a data set. `train`, `validation` and `test` never share an image; validation lies inside the
    training images of cifar10 and of a folder, so that `test` is touched once, at the end.

    Args:
        name: `motifs` (generated, nothing to download), `cifar10`, or `folder:PATH` (see `jemlib.data.folder`).
        split: `train`, `validation` or `test`.
        root: cifar10: where the data lives or is downloaded to (default: JEMLIB_DATA or `~/.cache/jemlib`);
            folder: what a relative PATH starts from (default: the working directory); motifs: not used.
        limit: keep a random subset of this many images, >= 1; all when there are fewer.
        seed: chooses that subset, and for motifs the images themselves, 0 <= seed < 2^30. The splits of cifar10
            and of a folder do not depend on it, so that no seed can mix training and test images.

    Raises:
        TypeError, ValueError: an unknown name or split, or a limit or seed out of range.
        FileNotFoundError, RuntimeError: the data is missing, cannot be fetched, or is damaged.
    """
    validate.choice("split", split, SPLITS)
    validate.integer("seed", seed, at_least=0)
    if limit is not None:
        validate.integer("limit", limit, at_least=1)
    if isinstance(name, str) and name.startswith("folder:"):
        path = Path(name.removeprefix("folder:")).expanduser()
        return keep_some(folder.load(path if root is None else Path(root).expanduser() / path, split), limit, seed)
    validate.choice("name", name, NAMES)
    if name == "cifar10":
        return keep_some(cifar10.load(split, root), limit, seed)
    if name == "motifs":
        return motifs.load(split, limit=limit, seed=seed)
    raise ValueError("name 'folder:PATH' stands for a folder of yours: write for example 'folder:photos'.")


__all__ = ["NAMES", "SPLITS", "Images", "cifar10", "folder", "load", "motifs", "permutation", "progress"]
