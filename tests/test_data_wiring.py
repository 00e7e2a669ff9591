"""Which image goes into which split, with which label, and which way up."""

from __future__ import annotations

import hashlib
import pickle
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10
from wiring import shade_images

from jemlib import data
from jemlib.data import Images, keep_some, load


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEMLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CI", "true")


# --- CIFAR-10 ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Random pixels as CIFAR-10's files hold them, in `tmp_path`: rows `(3072,)` of red, green, blue, row by row."""
    rng = np.random.default_rng(0)
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    found: dict[str, tuple[np.ndarray, list[int]]] = {}
    digests: dict[str, str] = {}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        pixels, labels = rng.integers(0, 256, (12, 3072), dtype=np.uint8), rng.integers(0, 3, 12).tolist()
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}))
        digests[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
        found[name] = pixels, labels
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["cat", "dog", "eel"]}))
    meta = hashlib.md5((folder / "batches.meta").read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[n, d] for n, d in digests.items() if n != "test_batch"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta})
    return found


def test_cifar10s_images_are_upright_and_red_comes_first(tmp_path: Path, raw: dict) -> None:
    rows, labels = raw["test_batch"]
    images = load("cifar10", "test", root=tmp_path)
    assert torch.equal(images.pixels, torch.from_numpy(rows.reshape(-1, 3, 32, 32)))
    for i, channel, y, x in ((0, 0, 3, 20), (5, 1, 31, 0), (11, 2, 0, 31)):  # channel, row, column, as the format says
        assert images.pixels[i, channel, y, x] == rows[i, 1024 * channel + 32 * y + x]
    assert images.labels.tolist() == labels
    assert images.class_names == ("cat", "dog", "eel")


def test_each_training_image_of_cifar10_keeps_its_label_in_train_and_validation(tmp_path: Path, raw: dict) -> None:
    known = {row.tobytes(): label for name, found in raw.items() if name != "test_batch" for row, label in zip(*found)}
    found = {split: load("cifar10", split, root=tmp_path) for split in ("train", "validation")}
    assert {split: len(images) for split, images in found.items()} == {"train": 54, "validation": 6}
    for images in found.values():
        for pixels, label in zip(images.pixels, images.labels.tolist()):
            assert known[pixels.numpy().tobytes()] == label


def test_the_held_out_images_of_cifar10_are_not_the_first(tmp_path: Path, raw: dict) -> None:
    rows = [row.tobytes() for name, (pixels, _) in raw.items() if name != "test_batch" for row in pixels]
    places = [rows.index(p.numpy().tobytes()) for p in load("cifar10", "validation", root=tmp_path).pixels]
    assert max(places) - min(places) > 20
    assert sorted(places) not in ([*range(6)], [*range(54, 60)])


# --- a folder ---------------------------------------------------------------------------------------------------------


def number(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (value, value, value)).save(path)


@pytest.mark.parametrize("parts", [True, False])
def test_held_out_images_are_spread_over_the_names_and_not_the_first_of_them(tmp_path: Path, parts: bool) -> None:
    """Image i of each class is filled with i. A camera numbers its pictures: the first would be one scene."""
    root = tmp_path / "numbered"
    for name in ("ant", "bee"):
        for i in range(120):
            number(root / ("train" if parts else ".") / name / f"{i:03d}.png", i)
    held_out = {}
    for split in ("validation",) if parts else ("validation", "test"):
        images = load(f"folder:{root}", split)
        for label in (0, 1):
            places = images.pixels[images.labels == label][:, 0, 0, 0].tolist()
            assert len(places) == 12
            # Twelve of 120 at random: mean 59.5 with a deviation of 9.5. The first twelve have mean 5.5.
            assert 25 < statistics.fmean(places) < 95
            assert max(places) - min(places) > 60
            held_out[split, label] = set(places)
    assert held_out["validation", 0] != held_out["validation", 1]  # each class has its own draw
    train = load(f"folder:{root}", "train")
    for label in (0, 1):
        rest = train.pixels[train.labels == label][:, 0, 0, 0].tolist()
        gone = set.union(*(places for (_, of_class), places in held_out.items() if of_class == label))
        assert sorted(rest) == [i for i in range(120) if i not in gone]


def test_the_images_of_a_folder_are_upright_red_comes_first_and_labels_are_those_of_their_folders(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    known = {}
    for i in range(24):
        name = ("cow", "ant", "bee")[i % 3]
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        path = tmp_path / "tree" / name / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        known[pixels.transpose(2, 0, 1).tobytes()] = name
    seen = []
    for _ in range(2):  # decoded, and from the cache
        for split in data.SPLITS:
            images = load(f"folder:{tmp_path / 'tree'}", split)
            assert images.class_names == ("ant", "bee", "cow")
            assert images.split == split
            for pixels, label in zip(images.pixels, images.labels.tolist()):
                assert known[pixels.numpy().tobytes()] == images.class_names[label]
                seen.append(pixels.numpy().tobytes())
    assert sorted(seen) == sorted([*known, *known])


def test_the_test_folder_is_the_test_split_and_no_image_of_it_is_trained_on(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for i in range(20):
        number(root / "train" / "ant" / f"{i}.png", i)
        number(root / "test" / "ant" / f"{i}.png", 100 + i)
    found = {split: load(f"folder:{root}", split).pixels[:, 0, 0, 0].tolist() for split in data.SPLITS}
    assert sorted(found["test"]) == list(range(100, 120))
    assert sorted(found["train"] + found["validation"]) == list(range(20))


# --- limits and seeds -------------------------------------------------------------------------------------------------


def test_a_limit_keeps_a_random_subset_with_its_labels_and_factors() -> None:
    images = shade_images(25, "train")
    images = Images(
        images.pixels, images.labels, images.class_names, {"place": torch.arange(100)}, name="shades", split="train"
    )
    kept = keep_some(images, 40, seed=0)
    places = kept.factors["place"]
    assert len(kept) == len(places.unique()) == 40
    assert torch.equal(kept.pixels, images.pixels[places])
    assert torch.equal(kept.labels, images.labels[places])
    assert len(kept.labels.unique()) == 4  # the first forty would show two of the classes
    assert not torch.equal(places, keep_some(images, 40, seed=1).factors["place"])
    assert torch.equal(places, keep_some(images, 40, seed=0).factors["place"])
    assert (kept.name, kept.split) == ("shades", "train")


@pytest.mark.parametrize("kind", ["motifs", "folder", "cifar10"])
def test_limit_and_seed_reach_every_kind_of_data(kind: str, tmp_path: Path, raw: dict) -> None:
    for i in range(60):
        number(tmp_path / "tree" / "ant" / f"{i}.png", i)
    name = "folder:tree" if kind == "folder" else kind
    first, again, other = (load(name, "train", root=tmp_path, limit=30, seed=seed) for seed in (0, 0, 1))
    assert len(first) == len(other) == 30
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert (first.name.partition(":")[0], first.split) == (kind, "train")


def test_the_splits_of_motifs_share_no_image_and_say_which_they_are() -> None:
    found = {split: load("motifs", split, limit=40) for split in data.SPLITS}
    assert {split: images.split for split, images in found.items()} == {split: split for split in data.SPLITS}
    drawn = [pixels.numpy().tobytes() for images in found.values() for pixels in images.pixels]
    assert len(set(drawn)) == 120
    for images in found.values():
        assert torch.equal(images.labels, images.factors["pattern"])
