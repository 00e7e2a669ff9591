"""A folder of images, one sub-folder for each class, decoded once and then read from one verified file.

    PATH/train/<class>/*.png   and   PATH/test/<class>/*.png      validation is a tenth of train
    PATH/<class>/*.png                                            a tenth each for validation and test

Read are png, jpg, jpeg, bmp and webp, in either case of letters. Classes are sorted by name. The source is never
written to: the decoded images go to the folder JEMLIB_CACHE, or `~/.cache/jemlib`.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from jemlib import validate
from jemlib.data.images import SIZE, SPLITS, Images, cache_folder, permutation, progress
from jemlib.files import write_torch

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
PARTS = ("train", "test")
SHARE = 10  # one image in ten of each class is held out
CACHE_VERSION = 1  # raise it when decoding changes: older files are then rebuilt
NAMED = 10  # broken images named in a warning; the rest are counted


class Entry(NamedTuple):
    """One image file: where it is, which class and part it belongs to, and what tells that it has changed."""

    path: str  # relative to the tree, with forward slashes
    class_name: str
    part: str  # `train`, `test`, or `all` for a tree without parts
    size: int
    modified: int  # nanoseconds


class Decoded(NamedTuple):
    """A whole tree in memory."""

    pixels: Tensor  # (M, 3, 32, 32) uint8
    labels: Tensor  # (M,) int64
    in_test: Tensor  # (M,) bool; all false for a tree without parts
    class_names: list[str]
    skipped: list[str]  # one line for each image that could not be read


def load(path: str | Path, split: str) -> Images:
    """One split of a folder of images, resized to 32 x 32.

    Other sizes are cropped to the central square and resized with antialiasing; 32 x 32 images are kept as they are.
    Held-out images are chosen for each class by a fixed permutation: the same for everyone, in every run. A class of
    fewer than three images has none held out.

    Args:
        path: the folder, laid out as the module describes.
        split: `train`, `validation` or `test`.

    Warns:
        UserWarning: images that cannot be read, by name and number (they are skipped); empty classes; a damaged or
            unwritable cache.

    Raises:
        FileNotFoundError: the path is not there.
        NotADirectoryError: it is no folder.
        ValueError: unknown split; no images; a class in test that is not in train; or the split is empty.
    """
    validate.choice("split", split, SPLITS)
    tree = Path(path).expanduser()
    if not tree.exists():
        raise FileNotFoundError(f"folder:PATH: there is no folder {tree}. The set 'motifs' needs none.")
    if not tree.is_dir():
        raise NotADirectoryError(f"folder:PATH must be a folder with one sub-folder for each class; {tree} is a file.")
    decoded, has_parts = _read(tree)
    index = _members(decoded, split, has_parts)
    if len(index) == 0:
        raise ValueError(f"the {split} split of {tree} is empty: {_why_empty(split, has_parts)}")
    return Images(
        decoded.pixels[index], decoded.labels[index], tuple(decoded.class_names), name=f"folder:{path}", split=split
    )


def scan(tree: Path) -> tuple[list[Entry], bool]:
    """The image files below `tree`, sorted by path, and whether the tree is laid out in train and test.

    Raises:
        ValueError: no images, or a class in test that is not in train.
    """
    has_parts = (tree / "train").is_dir()
    entries: list[Entry] = []
    for part in PARTS if has_parts else ("all",):
        folder = tree / part if has_parts else tree
        if folder.is_dir():
            entries += _scan_part(tree, folder, part)
    wanted = "train/<class>/*.png and test/<class>/*.png, or <class>/*.png"
    if not any(entry.part != "test" for entry in entries):
        raise ValueError(
            f"found no {'training ' if has_parts else ''}images in {tree}; expected {wanted} "
            f"(also {', '.join(SUFFIXES[1:])})."
        )
    known = {entry.class_name for entry in entries if entry.part != "test"}
    unknown = sorted({entry.class_name for entry in entries} - known)
    if unknown:
        raise ValueError(f"{tree / 'test'} has classes without images in train: {', '.join(unknown)}.")
    return sorted(entries), has_parts


def _scan_part(tree: Path, folder: Path, part: str) -> list[Entry]:
    """The image files of each class folder in `folder`. Hidden files and folders are passed over."""
    entries = []
    with os.scandir(folder) as found:
        classes = sorted(item.name for item in found if item.is_dir() and not item.name.startswith("."))
    for name in classes:
        with os.scandir(folder / name) as found:
            files = [f for f in found if f.name.lower().endswith(SUFFIXES) and not f.name.startswith(".")]
        prefix = f"{part}/{name}" if part in PARTS else name
        if not files:
            warnings.warn(f"class folder {folder / name} holds no images; it is left out.", stacklevel=5)
        for file in files:
            about = file.stat()
            entries.append(Entry(f"{prefix}/{file.name}", name, part, about.st_size, about.st_mtime_ns))
    return entries


def _read(tree: Path) -> tuple[Decoded, bool]:
    """The decoded tree, from the cache when that is whole and up to date, otherwise from the images."""
    entries, has_parts = scan(tree)
    source = _fingerprint(entries)
    cache = cache_file(tree)
    decoded = _from_cache(cache, source)
    if decoded is None:
        decoded = decode(tree, entries)
        _to_cache(cache, source, decoded)
    if decoded.skipped:
        more = f"\n  and {len(decoded.skipped) - NAMED} more" if len(decoded.skipped) > NAMED else ""
        warnings.warn(
            f"{len(decoded.skipped)} of {len(entries)} images in {tree} could not be read and were skipped:\n  "
            + "\n  ".join(decoded.skipped[:NAMED])
            + more,
            stacklevel=4,
        )
    return decoded, has_parts


def decode(tree: Path, entries: list[Entry]) -> Decoded:
    """Read the images in parallel; those that cannot be read are listed in `skipped`.

    Raises:
        ValueError: no training image can be read, or none of a class that test has.
    """
    pixels = np.empty((len(entries), SIZE, SIZE, 3), dtype=np.uint8)

    def read(i: int) -> str | None:
        try:
            pixels[i] = read_image(tree / entries[i].path)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise many types on a broken file: OSError, SyntaxError, ValueError, ...
            return f"{entries[i].path} ({type(error).__name__}: {error})"
        return None

    # Decoding leaves Python's lock, so threads use all cores and share one array.
    with ThreadPoolExecutor() as pool:
        found = pool.map(read, range(len(entries)))
        errors = list(progress(found, total=len(entries), description=f"Reading {tree.name}"))
    kept = [i for i, error in enumerate(errors) if error is None]
    skipped = [error for error in errors if error is not None]
    names = sorted({entries[i].class_name for i in kept if entries[i].part != "test"})
    lost = sorted({entries[i].class_name for i in kept} - set(names))
    if not names or lost:
        what = f"of class {', '.join(lost)}" if lost else ""
        raise ValueError(f"no training image {what} in {tree} could be read; the first: {skipped[0]}.")
    return Decoded(
        torch.from_numpy(pixels[kept]).permute(0, 3, 1, 2).contiguous(),
        torch.tensor([names.index(entries[i].class_name) for i in kept], dtype=torch.int64),
        torch.tensor([entries[i].part == "test" for i in kept]),
        names,
        skipped,
    )


def read_image(path: Path) -> np.ndarray:
    """One image as `(32, 32, 3)` uint8 RGB; transparent parts become white, 16-bit greys are scaled to 8."""
    with Image.open(path) as file:
        file.load()
        image: Image.Image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I"):  # convert("RGB") would clip 16 bits to white
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if image.size != (SIZE, SIZE):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        # Cropped first, so that nothing from outside the square is averaged in; resize is antialiased when it shrinks.
        image = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _members(decoded: Decoded, split: str, has_parts: bool) -> Tensor:
    """Positions of one split, in an order that mixes the classes."""
    chosen = []
    for label in range(len(decoded.class_names)):
        of_class = decoded.labels == label
        if has_parts and split == "test":
            chosen.append((of_class & decoded.in_test).nonzero().flatten())
            continue
        positions = (of_class & ~decoded.in_test).nonzero().flatten()
        positions = positions[permutation(len(positions), seed=label)]
        held = max(1, round(len(positions) / SHARE)) if len(positions) >= 3 else 0
        bounds = {"validation": (0, held), "test": (held, 2 * held), "train": (held if has_parts else 2 * held, None)}
        start, stop = bounds[split]
        chosen.append(positions[start:stop])
    index = torch.cat(chosen)
    return index[permutation(len(index))]


def _why_empty(split: str, has_parts: bool) -> str:
    if has_parts and split == "test":
        return "there are no images in test/<class>/."
    return "no class has the three images from which one is held out."


def cache_file(tree: Path) -> Path:
    """The one file that holds this tree decoded: in JEMLIB_CACHE, named after the tree and its full path."""
    where = hashlib.sha256(str(tree.resolve()).encode()).hexdigest()[:16]
    return cache_folder() / f"folder-{tree.resolve().name or 'root'}-{where}.pt"


def _fingerprint(entries: list[Entry]) -> str:
    """Changes when a file is added, removed, renamed or modified, or when decoding changes."""
    text = repr((CACHE_VERSION, SIZE, [tuple(entry) for entry in entries]))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(decoded: Decoded) -> str:
    """SHA-256 of everything that was decoded."""
    digest = hashlib.sha256(repr((decoded.class_names, decoded.skipped)).encode("utf-8", "surrogateescape"))
    for values in (decoded.pixels, decoded.labels, decoded.in_test):
        digest.update(repr(tuple(values.shape)).encode())
        digest.update(values.numpy().data)
    return digest.hexdigest()


def _from_cache(cache: Path, source: str) -> Decoded | None:
    """The cached tree, or None, with a warning, when the file is damaged or belongs to another state of the source."""
    if not cache.exists():
        return None
    try:
        held: dict[str, Any] = torch.load(cache, weights_only=True)
        if not isinstance(held, dict):
            raise TypeError("it holds no cached tree")
        if held["source"] != source:
            warnings.warn(
                f"the images have changed since they were cached; reading them again into {cache}.", stacklevel=5
            )
            return None
        decoded = Decoded(**{name: held[name] for name in Decoded._fields})
        if _digest(decoded) != held["digest"]:
            raise ValueError("its checksum does not match")
    except Exception as error:  # a damaged file can fail in any layer: zip, pickle, tensors, keys
        reason = str(error).partition("\n")[0]
        warnings.warn(
            f"the cache {cache} is damaged ({type(error).__name__}: {reason}); reading the images again.", stacklevel=5
        )
        return None
    return decoded


def _to_cache(cache: Path, source: str, decoded: Decoded) -> None:
    """Write beside the final name, then rename: a reader sees the old file or the new one, never half of one."""
    held = {"source": source, "digest": _digest(decoded), **decoded._asdict()}
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_torch(cache, held)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        warnings.warn(
            f"the decoded images could not be kept in {cache} ({error}); they will be read again next time.",
            stacklevel=5,
        )
