"""CIFAR-10, without a network: tiny archives in torchvision's own format, and the errors when nothing is there."""

from __future__ import annotations

import hashlib
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from jemlib import data

CLASSES = ["airplane", "automobile"]


def write_batch(path: Path, start: int, count: int) -> str:
    """A batch file whose image i is filled with the number start + i and labelled with its parity; returns the md5."""
    numbers = np.arange(start, start + count)
    pixels = np.repeat(numbers[:, None], 3072, axis=1).astype(np.uint8)
    path.write_bytes(pickle.dumps({"data": pixels, "labels": [int(i % 2) for i in numbers]}))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root that holds 100 training images (0 to 99) and 20 test images (200 to 219), with matching checksums."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    train_list = [[f"data_batch_{i + 1}", write_batch(folder / f"data_batch_{i + 1}", 20 * i, 20)] for i in range(5)]
    test_list = [["test_batch", write_batch(folder / "test_batch", 200, 20)]]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES}))
    meta = hashlib.md5((folder / "batches.meta").read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", train_list)
    monkeypatch.setattr(CIFAR10, "test_list", test_list)
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta})
    return tmp_path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)


def numbers(images: data.Images) -> set[int]:
    """Which images these are: each is filled with its own number."""
    assert torch.equal(images.pixels.amin(dim=(1, 2, 3)), images.pixels.amax(dim=(1, 2, 3)))
    return set(images.pixels[:, 0, 0, 0].tolist())


def test_train_and_validation_share_no_image_and_make_up_the_training_set(tiny: Path) -> None:
    train, validation = (data.load("cifar10", split, root=tiny) for split in ("train", "validation"))
    assert (len(train), len(validation)) == (90, 10)
    assert numbers(train) | numbers(validation) == set(range(100))
    assert train.pixels.shape[1:] == (3, 32, 32)
    assert train.class_names == ("airplane", "automobile")
    for images in (train, validation):
        assert torch.equal(images.labels, images.pixels[:, 0, 0, 0].long() % 2)


def test_the_test_split_is_the_official_one_untouched(tiny: Path) -> None:
    test = data.load("cifar10", "test", root=tiny)
    assert test.pixels[:, 0, 0, 0].tolist() == list(range(200, 220))
    assert (test.name, test.split, test.factors) == ("cifar10", "test", None)


def test_the_seed_chooses_the_subset_and_never_the_split(tiny: Path) -> None:
    train = numbers(data.load("cifar10", "train", root=tiny))
    subsets = [numbers(data.load("cifar10", "train", root=tiny, limit=30, seed=seed)) for seed in (0, 0, 1)]
    assert subsets[0] == subsets[1] != subsets[2]
    assert all(len(subset) == 30 and subset <= train for subset in subsets)
    assert numbers(data.load("cifar10", "train", root=tiny, limit=1000, seed=5)) == train


def test_the_held_out_five_thousand_are_the_same_for_everyone() -> None:
    held_out = data.permutation(50_000, seed=10)[:5000]
    assert held_out[:5].tolist() == [10, 32667, 2240, 44674, 31372]
    assert int(held_out.sum()) == 124_525_088
    assert len(held_out.unique()) == 5000


def test_a_permutation_holds_each_number_once_and_looks_random() -> None:
    for n in (0, 1, 2, 1000):
        assert data.permutation(n, seed=3).sort().values.tolist() == list(range(n))
    a, b = data.permutation(1000, seed=0), data.permutation(1000, seed=1)
    assert (a == b).sum() < 10
    assert abs(torch.corrcoef(torch.stack([a, torch.arange(1000)]).double())[0, 1]) < 0.1


def test_the_data_folder_comes_from_the_environment(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEMLIB_DATA", str(tiny))
    assert len(data.load("cifar10", "test")) == 20


@pytest.mark.usefixtures("offline")
def test_without_a_network_the_error_names_the_file_the_place_and_the_alternative(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        data.load("cifar10", "train", root=tmp_path / "nothing")
    message = str(caught.value)
    assert "cifar-10-python.tar.gz" in message
    assert str(tmp_path / "nothing") in message
    assert CIFAR10.tgz_md5 in message
    assert "Name or service not known" in message
    assert "'motifs' needs no download" in message


@pytest.mark.usefixtures("offline")
def test_a_damaged_batch_that_cannot_be_fetched_again_is_reported(tiny: Path) -> None:
    batch = tiny / CIFAR10.base_folder / "data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-100])
    with pytest.raises(FileNotFoundError, match=r"not in .*whole, and could not be fetched"):
        data.load("cifar10", "train", root=tiny)


def test_a_download_with_a_wrong_checksum_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupt(*_: object, **__: object) -> None:
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", corrupt)
    with pytest.raises(RuntimeError, match=r"is damaged.*Delete cifar-10-python\.tar\.gz"):
        data.load("cifar10", "test", root=tmp_path)


def test_an_unknown_split_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be one of"):
        data.load("cifar10", "val", root=tmp_path)
    with pytest.raises(ValueError, match="split must be one of"):
        data.cifar10.load("val", tmp_path)
