"""Folders of images: layouts, splits, decoding, and a cache that notices damage and change."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jemlib import data
from jemlib.data import folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JEMLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CI", "1")  # no progress bar
    return tmp_path / "cache"


@pytest.fixture
def quiet() -> Iterator[None]:
    """Any warning fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def write(path: Path, value: int, size: tuple[int, int] = (32, 32)) -> None:
    """An image in which every channel of every pixel is `value`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def split_tree(root: Path, train: int = 20, test: int = 5) -> Path:
    """train/ and test/ with classes `bird` (even values) and `ant` (odd values), each image with its own value."""
    for part, count, start in (("train", train, 0), ("test", test, 100)):
        for i in range(count):
            write(root / part / "bird" / f"{i:03d}.png", start + 2 * i)
            write(root / part / "ant" / f"{i:03d}.png", start + 2 * i + 1)
    return root


def flat_tree(root: Path, count: int = 20) -> Path:
    for i in range(count):
        write(root / "bird" / f"{i:03d}.png", 2 * i)
        write(root / "ant" / f"{i:03d}.png", 2 * i + 1)
    return root


def values(images: data.Images) -> list[int]:
    return images.pixels[:, 0, 0, 0].tolist()


def load(root: Path, split: str = "train") -> data.Images:
    return data.load(f"folder:{root}", split)


# --- layouts and splits


@pytest.mark.usefixtures("quiet")
def test_a_tree_with_parts_is_split_by_class_and_its_test_is_left_alone(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "tree")
    train, validation, test = (load(root, split) for split in data.SPLITS)
    assert train.class_names == ("ant", "bird")
    assert train.labels.bincount().tolist() == [18, 18]
    assert validation.labels.bincount().tolist() == [2, 2]
    assert sorted(values(train) + values(validation)) == list(range(40))
    assert sorted(values(test)) == list(range(100, 110))
    for images in (train, validation, test):
        assert images.labels.tolist() == [1 - value % 2 for value in values(images)]  # ants are odd


@pytest.mark.usefixtures("quiet")
def test_a_flat_tree_is_split_eighty_ten_ten_by_class(tmp_path: Path) -> None:
    root = flat_tree(tmp_path / "tree")
    splits = [load(root, split) for split in data.SPLITS]
    assert [images.labels.bincount().tolist() for images in splits] == [[16, 16], [2, 2], [2, 2]]
    assert sorted(value for images in splits for value in values(images)) == list(range(40))


def test_the_split_does_not_depend_on_the_seed_or_the_cache(tmp_path: Path) -> None:
    root = flat_tree(tmp_path / "tree")
    first = values(load(root, "test"))
    assert values(load(root, "test")) == first
    assert values(data.load(f"folder:{root}", "test", seed=7)) == first
    folder.cache_file(root).unlink()
    assert values(load(root, "test")) == first


def test_classes_are_mixed_so_that_the_first_images_show_both(tmp_path: Path) -> None:
    assert set(load(split_tree(tmp_path / "tree")).labels[:10].tolist()) == {0, 1}


def test_a_limit_keeps_that_many(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "tree")
    some = data.load(f"folder:{root}", "train", limit=7, seed=1)
    assert len(some) == 7
    assert set(values(some)) <= set(values(load(root)))


def test_a_relative_path_starts_from_root(tmp_path: Path) -> None:
    split_tree(tmp_path / "tree")
    assert len(data.load("folder:tree", "test", root=tmp_path)) == 10


def test_too_few_images_to_hold_any_out_is_said(tmp_path: Path) -> None:
    root = flat_tree(tmp_path / "tree", count=2)
    assert len(load(root)) == 4
    with pytest.raises(ValueError, match=r"the validation split of .* is empty.*three images"):
        load(root, "validation")


def test_train_alone_is_enough_until_test_is_asked_for(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "tree", test=0)
    assert len(load(root)) == 36
    with pytest.raises(ValueError, match=r"the test split of .* is empty: there are no images in test/<class>/"):
        load(root, "test")


# --- what is read


@pytest.mark.usefixtures("quiet")
def test_every_suffix_in_any_case_is_read_and_other_files_are_not(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for i, name in enumerate(["a.png", "b.JPG", "c.jpeg", "d.bmp", "e.WebP"]):
        write(root / "x" / name, 10 * i)
    (root / "x" / "notes.txt").write_text("not an image")
    (root / "x" / "._a.png").write_bytes(b"a file that macOS leaves behind")
    (root / ".hidden").mkdir()
    assert len(load(root)) + len(load(root, "validation")) + len(load(root, "test")) == 5


def test_an_image_of_the_right_size_is_kept_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(folder.read_image(tmp_path / "a.png"), pixels)


def test_a_wide_image_is_cropped_to_its_centre_and_resized_with_antialiasing(tmp_path: Path) -> None:
    pixels = np.zeros((64, 128, 3), dtype=np.uint8)
    pixels[:, 32:96] = 200  # the central square
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (folder.read_image(tmp_path / "wide.png") == 200).all()
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # one-pixel stripes average to grey; without antialiasing they would stay black or white
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    inner = folder.read_image(tmp_path / "stripes.png")[:, 1:-1].astype(int)
    assert abs(inner - 127).max() <= 4


def test_grey_palette_transparent_and_sixteen_bit_images_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (32, 32), 90).save(tmp_path / "grey.png")
    assert (folder.read_image(tmp_path / "grey.png") == 90).all()
    Image.new("RGB", (32, 32), (10, 20, 30)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    assert (folder.read_image(tmp_path / "p.png") == [10, 20, 30]).all()
    Image.new("RGBA", (32, 32), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert (folder.read_image(tmp_path / "clear.png") == 255).all()
    Image.fromarray(np.full((32, 32), 128 * 257, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert (folder.read_image(tmp_path / "deep.png") == 128).all()


def test_a_photo_that_says_it_is_turned_is_turned(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    read = folder.read_image(tmp_path / "turned.png")
    assert (read[:, 16:] == 255).all()
    assert (read[:, :16] == 0).all()


# --- broken and missing things


def test_a_broken_image_is_named_and_skipped_each_time(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "tree")
    (root / "train" / "ant" / "003.png").write_bytes(b"this is no image")
    whole = (root / "train" / "bird" / "004.png").read_bytes()
    (root / "train" / "bird" / "004.png").write_bytes(whole[: len(whole) // 2])
    (root / "test" / "ant" / "001.png").write_bytes(b"")
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(UserWarning, match="3 of 50 images .* were skipped") as caught:
            train = load(root)
        text = str(caught[0].message)
        for name in ("train/ant/003.png", "train/bird/004.png", "test/ant/001.png"):
            assert name in text
    with pytest.warns(UserWarning, match="skipped"):
        validation = load(root, "validation")
    assert sorted(values(train) + values(validation)) == sorted(set(range(40)) - {7, 8})


def test_many_broken_images_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    root = flat_tree(tmp_path / "tree")
    for i in range(13):
        (root / "ant" / f"{i:03d}.png").write_bytes(b"broken")
    with pytest.warns(UserWarning, match=r"13 of 40 images[\s\S]*and 3 more"):
        load(root)


def test_a_class_of_broken_images_only_is_dropped_and_the_labels_close_up(tmp_path: Path) -> None:
    root = flat_tree(tmp_path / "tree")
    (root / "aaa").mkdir()
    (root / "aaa" / "0.png").write_bytes(b"broken")
    with pytest.warns(UserWarning, match="1 of 41 images"):
        train = load(root)
    assert train.class_names == ("ant", "bird")
    assert train.labels.tolist() == [1 - value % 2 for value in values(train)]


def test_only_broken_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tree" / "ant").mkdir(parents=True)
    (tmp_path / "tree" / "ant" / "0.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"no training image .* could be read; the first: ant/0\.png"):
        load(tmp_path / "tree")


def test_an_empty_class_is_left_out_with_a_warning(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "tree")
    (root / "train" / "cat").mkdir()
    with pytest.warns(UserWarning, match="cat holds no images; it is left out"):
        assert load(root).class_names == ("ant", "bird")


def test_a_class_in_test_that_is_not_in_train_is_an_error(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "tree")
    write(root / "test" / "cat" / "0.png", 3)
    with pytest.raises(ValueError, match="test has classes without images in train: cat"):
        load(root)


def test_a_missing_path_a_file_and_a_folder_without_images_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        load(tmp_path / "nowhere")
    write(tmp_path / "file.png", 3)
    with pytest.raises(NotADirectoryError, match=r"file\.png is a file"):
        load(tmp_path / "file.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"found no images in .*empty; expected train/<class>"):
        load(tmp_path / "empty")
    write(tmp_path / "loose" / "a.png", 3)  # images, but no class folder
    with pytest.raises(ValueError, match=r"found no images in .*loose; expected train/<class>"):
        load(tmp_path / "loose")
    with pytest.raises(ValueError, match="split must be one of"):
        folder.load(tmp_path / "empty", "val")


# --- the cache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images that were decoded, in any order."""
    seen: list[Path] = []
    original = folder.read_image

    def counted(path: Path) -> np.ndarray:
        seen.append(path)
        return original(path)

    monkeypatch.setattr(folder, "read_image", counted)
    return seen


@pytest.mark.usefixtures("quiet")
def test_a_second_load_decodes_nothing_and_gives_the_same(tmp_path: Path, cache: Path, reads: list[Path]) -> None:
    root = split_tree(tmp_path / "tree")
    first = load(root)
    assert len(reads) == 50
    again = load(root)
    assert len(reads) == 50
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.labels, again.labels)
    assert [file.name for file in cache.iterdir()] == [folder.cache_file(root).name]  # one file, nothing left over


def test_two_trees_of_one_name_have_two_caches(tmp_path: Path, cache: Path) -> None:
    a, b = split_tree(tmp_path / "a" / "tree"), flat_tree(tmp_path / "b" / "tree")
    assert len(load(a)) == 36
    assert len(load(b)) == 32
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped pixel", "flipped label", "not a cache", "other"])
def test_a_damaged_cache_is_noticed_and_rebuilt(tmp_path: Path, damage: str, reads: list[Path]) -> None:
    root = split_tree(tmp_path / "tree")
    first = load(root)
    file = folder.cache_file(root)
    content = bytearray(file.read_bytes())
    held = torch.load(file, weights_only=True)
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "flipped pixel":
        content[len(content) // 2] ^= 0x10  # nearly all of the file is pixels
        file.write_bytes(content)
    elif damage == "flipped label":
        held["labels"][0] = 1 - held["labels"][0]
        torch.save(held, file)
    elif damage == "not a cache":
        torch.save({"something": "else"}, file)
    else:
        torch.save(torch.arange(3), file)
    with pytest.warns(UserWarning, match="is damaged"):
        again = load(root)
    assert len(reads) == 100
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.labels, again.labels)
    load(root)
    assert len(reads) == 100  # whole again


@pytest.mark.parametrize("event", ["added", "removed", "renamed", "modified", "touched"])
def test_a_changed_source_is_noticed_and_read_again(tmp_path: Path, event: str, reads: list[Path]) -> None:
    root = split_tree(tmp_path / "tree")
    load(root)
    file = root / "train" / "ant" / "005.png"
    about = file.stat()
    if event == "added":
        write(root / "train" / "ant" / "new.png", 200)
    elif event == "removed":
        file.unlink()
    elif event == "renamed":
        file.rename(file.with_name("zzz.png"))
    elif event == "modified":
        write(file, 200)
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns + 1))  # the size may well be the same
    else:
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns + 10**9))
    with pytest.warns(UserWarning, match="have changed since they were cached"):
        again = load(root)
    assert len(reads) > 90
    present = set(values(again)) | set(values(load(root, "validation")))
    assert (200 in present) == (event in ("added", "modified"))
    assert (11 in present) == (event not in ("removed", "modified"))


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[Path]
) -> None:
    root = split_tree(tmp_path / "tree")
    (tmp_path / "occupied").write_text("a file where the cache folder should be")
    monkeypatch.setenv("JEMLIB_CACHE", str(tmp_path / "occupied"))
    for count in (50, 100):
        with pytest.warns(UserWarning, match="could not be kept"):
            assert len(load(root)) == 36
        assert len(reads) == count


def test_an_interrupted_write_leaves_neither_half_a_file_nor_litter(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = split_tree(tmp_path / "tree")

    def stop(_: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            load(root)
    assert list(cache.iterdir()) == []


def test_the_source_is_never_written_to(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "tree")
    before = sorted(root.rglob("*"))
    load(root)
    assert sorted(root.rglob("*")) == before
