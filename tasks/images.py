"""Real images to classify: CIFAR-10, SVHN, EMNIST and scikit-learn's digits.

Images are decoded once into bytes held in memory; a batch is a look-up and a normalisation, and
augmentation happens on whatever device the batch is on.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from foundations.errors import unknown_name
from tasks.base import Batch, Difficulty, Task, TaskSpec
from tasks.sampling import permute_many, stream_key
from tasks.sources import MissingData, hub_dataset, local_dataset, reachable

if TYPE_CHECKING:
    from datasets import Dataset


class Pictures(NamedTuple):
    """images: uint8 [n, C, H, W]. labels: int64 [n]."""

    images: Tensor
    labels: Tensor

    def where(self, chosen: Tensor) -> Pictures:
        """Those that a bool [n] picks."""
        return Pictures(self.images[chosen], self.labels[chosen])


# --- reading ---


def _column(dataset: Dataset, kind: str) -> str:
    """The name of the image or label column, by the type of what it holds; ValueError if none."""
    import datasets
    import pyarrow as pa

    def is_image(feature: Any) -> bool:
        in_bytes = isinstance(feature, dict) and "bytes" in feature
        return in_bytes or isinstance(feature, datasets.Image)

    def is_label(feature: Any) -> bool:
        whole = isinstance(feature, datasets.Value) and pa.types.is_integer(feature.pa_type)
        return whole or isinstance(feature, datasets.ClassLabel)

    usual, fits = {
        "image": (("img", "image"), is_image),
        "label": (("label", "labels"), is_label),
    }[kind]
    names = [name for name, feature in dataset.features.items() if fits(feature)]
    names.sort(key=lambda name: usual.index(name) if name in usual else len(usual))
    if not names:
        raise ValueError(f"no {kind} column among {', '.join(dataset.features)}")
    return names[0]


def _decode(encoded: dict[str, Any], channels: int) -> np.ndarray:
    """uint8 [C, H, W] of an image file's bytes, or of the file at a path."""
    from PIL import Image

    source = encoded["path"] if encoded["bytes"] is None else io.BytesIO(encoded["bytes"])
    with Image.open(source) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1)


def decoded(dataset: Dataset, channels: int, size: tuple[int, int]) -> Pictures:
    """All images of a data set. ValueError for one of another size than `size` (rows, columns)."""
    import datasets

    image, label = _column(dataset, "image"), _column(dataset, "label")
    dataset = dataset.select_columns([image, label]).cast_column(
        image, datasets.Image(decode=False)
    )
    pixels = np.empty((len(dataset), channels, *size), np.uint8)

    def fill(start: int) -> None:
        for i, encoded in enumerate(dataset[start : start + 1000][image], start):
            picture = _decode(encoded, channels)
            if picture.shape[1:] != size:
                raise ValueError(f"image {i} is {picture.shape[1:]} pixels, not {size}")
            pixels[i] = picture

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding leaves Python's lock
        list(pool.map(fill, range(0, len(dataset), 1000)))
    labels = torch.tensor(np.asarray(dataset[:][label], np.int64))
    return Pictures(torch.from_numpy(pixels), labels)


# --- tasks ---

_AUGMENTATIONS = ("crop", "flip")
_ALL = (10**9,)  # every training image there is: a plan takes no more than a split holds

#: What a study of each size uses. paper: 160 epochs of CIFAR-10 and SGD from 0.1 as in the public
#: code of Schwarzschild et al. 2021, with cosine decay in place of its two steps.
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"train": {"batch_size": 64}, "evaluation": {"iterations": 8}},
    "quick": {
        "train_samples": _ALL,
        "train": {
            "steps": 4000,
            "batch_size": 128,
            "optimizer": "adamw",
            "learning_rate": 3e-3,
            "weight_decay": 0.05,
            "validate_every": 1000,
            "validation_samples": 2000,
        },
        "evaluation": {"samples": 10_000, "iterations": 16},
    },
    "paper": {
        "train_samples": _ALL,
        "train": {
            "steps": 56_000,
            "batch_size": 128,
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "weight_decay": 5e-4,
        },
        "evaluation": {"samples": 30_000, "iterations": 50},
    },
}


class ImageTask(Task):
    """Images of one size to classify. Inputs: float32 [n, C, H, W], normalised. Targets: int64 [n].

    Test problems are the test images; validation ones are a tenth of the training images, chosen by
    a hash of their pixels. Each is used once: `seed` only shuffles. data_dir: a folder of parquet
    files or pictures (see `sources.local_dataset`), instead of the online source. augment: "crop"
    (a shift of up to 4 pixels, black coming in), "flip" (left to right), "crop+flip" or "none"; by
    default as published.
    """

    presets = _PRESETS

    name: str
    channels: int
    classes: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    chance: float
    answers: tuple[str, ...] = tuple("0123456789")
    augmentation = "crop"
    pad = 4
    hub_id: str
    hub_config: str | None

    def __init__(self, data_dir: str | None = None, augment: str | None = None) -> None:
        chosen = self.augmentation if augment is None else augment
        kinds = () if chosen == "none" else tuple(str(chosen).split("+"))
        for kind in kinds:
            if kind not in _AUGMENTATIONS:
                raise unknown_name(
                    f"{self.name} augment", chosen, ("crop", "flip", "crop+flip", "none")
                )
        self.data_dir = None if data_dir is None else str(data_dir)
        self.kinds = kinds
        self.spec = TaskSpec(
            name=self.name,
            in_channels=self.channels,
            spatial_dims=2,
            dense=False,
            outputs=self.classes,
            difficulties=(1,),
            train_difficulty=1,
            size=self.size,
            chance=self.chance,
            answers=self.answers,
        )

    @classmethod
    def read(cls, split: str, data_dir: str | None) -> Pictures:
        """The images of a split, "train" or "test"; ValueError says what to download if absent."""
        if data_dir is not None:
            found = local_dataset(data_dir, split)
        else:
            found = hub_dataset(cls.hub_id, cls.hub_config, split, cls.advice())
        return decoded(found, cls.channels, cls.size)

    @classmethod
    def advice(cls) -> str:
        """What to download and where to put it."""
        return (
            f"download its parquet files from https://huggingface.co/datasets/{cls.hub_id} into a"
            " folder as train*.parquet and test*.parquet and name that folder with --data-dir (the"
            " option data_dir)"
        )

    @classmethod
    def splits(cls, data_dir: str | None) -> dict[str, Pictures]:
        """All images by split."""
        train, test = cls.read("train", data_dir), cls.read("test", data_dir)
        held_out = buckets(train.images) == 0
        return {
            "train": train.where(~held_out),
            "validation": train.where(held_out),
            "test": test,
        }

    @cached_property
    def _held(self) -> dict[str, Pictures]:
        return _pictures(type(self), self.data_dir)  # type: ignore[arg-type]  # a class hashes

    def capacity(self, difficulty: Difficulty, split: str) -> int:
        return len(self._held[split].labels)

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        held = self._held[split]
        key = stream_key(self.name, seed, split)
        at = torch.from_numpy(permute_many(indices, len(held.labels), key))
        inputs = held.images[at].float().div_(255.0)
        return Batch(inputs.sub_(self._mean(inputs)).div_(self._std(inputs)), held.labels[at])

    def _mean(self, like: Tensor) -> Tensor:
        return torch.tensor(self.mean, device=like.device, dtype=like.dtype).view(-1, 1, 1)

    def _std(self, like: Tensor) -> Tensor:
        return torch.tensor(self.std, device=like.device, dtype=like.dtype).view(-1, 1, 1)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        if not self.kinds:
            return batch
        x = batch.inputs
        count, _, height, width = x.shape
        device = x.device
        rows = torch.arange(height, device=device).expand(count, -1)
        columns = torch.arange(width, device=device).expand(count, -1)
        if "flip" in self.kinds:
            flipped = torch.rand(count, 1, device=device, generator=generator) < 0.5
            columns = torch.where(flipped, width - 1 - columns, columns)
        if "crop" in self.kinds:
            black = -self._mean(x) / self._std(x)
            x = F.pad(x - black, [self.pad] * 4) + black
            shift = torch.randint(
                0, 2 * self.pad + 1, (2, count, 1), device=device, generator=generator
            )
            rows, columns = rows + shift[0], columns + shift[1]
        which = torch.arange(count, device=device)[:, None, None]
        # The picked dimensions come out first, so the result lies in memory with channels
        # innermost.
        picked = x[which, :, rows[:, :, None], columns[:, None, :]]
        return Batch(rearrange(picked, "n h w c -> n c h w"), batch.targets)

    def picture(self, inputs: Tensor) -> Tensor:
        shown = (inputs * self._std(inputs) + self._mean(inputs)).clamp(0, 1)
        return shown.expand(-1, 3, -1, -1)


def buckets(images: Tensor) -> Tensor:
    """int64 [n] in 0..9: a hash of each image's pixels, which decides its split."""
    hashes = (hashlib.blake2b(i.tobytes(), digest_size=8).digest() for i in images.numpy())
    return torch.tensor([int.from_bytes(h, "little") % 10 for h in hashes])


@lru_cache(maxsize=4)
def _pictures(task: type[ImageTask], data_dir: str | None) -> dict[str, Pictures]:
    """The splits of a source, read and decoded once a process."""
    splits = task.splits(data_dir)
    for split, held in splits.items():
        if len(held.labels) == 0 or not 0 <= held.labels.min() <= held.labels.max() < task.classes:
            raise ValueError(
                f"{split} images of {task.name} must have labels from 0 to {task.classes - 1}"
            )
    return splits


class Cifar10(ImageTask):
    """CIFAR-10: ten kinds of things, 3 x 32 x 32 (Krizhevsky 2009)."""

    title = "CIFAR-10"
    name = "cifar10"
    channels, classes, size = 3, 10, (32, 32)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    chance = 0.1
    augmentation = "crop+flip"
    hub_id, hub_config = "uoft-cs/cifar10", "plain_text"
    answers: tuple[str, ...] = ("airplane", "automobile", "bird", "cat", "deer")
    answers += ("dog", "frog", "horse", "ship", "truck")


class Svhn(ImageTask):
    """SVHN: house numbers, cropped to a digit, 3 x 32 x 32 (Netzer et al. 2011)."""

    title = "SVHN"
    name = "svhn"
    channels, classes, size = 3, 10, (32, 32)
    mean, std = (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)
    chance = 5099 / 26032  # the share of ones among the test images
    hub_id, hub_config = "ufldl-stanford/svhn", "cropped_digits"


class Emnist(ImageTask):
    """EMNIST balanced: digits and letters, 1 x 28 x 28 (upright, 47 classes, Cohen et al. 2017)."""

    title = "EMNIST"
    name = "emnist"
    channels, classes, size = 1, 47, (28, 28)
    mean, std = (0.1307,), (0.3081,)
    chance = 1 / 47
    # Letters that look alike in both cases are one class.
    answers = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")

    @classmethod
    def read(cls, split: str, data_dir: str | None) -> Pictures:
        return _emnist_online(split) if data_dir is None else super().read(split, data_dir)


def _emnist_online(split: str) -> Pictures:
    """The published balanced split, of which the hub has no parquet files, by torchvision."""
    from torchvision.datasets import EMNIST

    cache = os.environ.get("TORCH_HOME", os.path.join("~", ".cache", "torch"))
    root = Path(cache).expanduser() / "datasets"
    raw = Path(cache) / "datasets" / "EMNIST" / "raw"
    if not raw.expanduser().is_dir() and not reachable(EMNIST.url):
        raise MissingData(
            f"EMNIST is out of reach; download {EMNIST.url} and unpack its emnist-balanced-*-ubyte"
            f" files into {raw}, or name a folder of train*.parquet and test*.parquet with"
            " --data-dir"
        )
    found = EMNIST(str(root), split="balanced", train=split == "train", download=True)
    # The published files hold every image with rows and columns swapped.
    return Pictures(found.data.transpose(1, 2).unsqueeze(1).contiguous(), found.targets.long())


class Digits(ImageTask):
    """scikit-learn's handwritten digits, 1 x 8 x 8 (1,797 in all, Alpaydin and Kaynak 1998).

    Needs no network. A fifth of them, by the hash of their pixels, are test images.
    """

    title = "digits"
    name = "digits"
    channels, classes, size = 1, 10, (8, 8)
    mean, std = (0.3053,), (0.3760,)  # of all of them
    chance = 0.1
    pad = 1
    presets = {
        "smoke": _PRESETS["smoke"],
        "quick": {
            "train_samples": _ALL,
            "train": {"steps": 1500, "batch_size": 64},
            "evaluation": {"iterations": 16},
        },
        "paper": {
            "train_samples": _ALL,
            "train": {"steps": 10_000, "batch_size": 128},
            "evaluation": {"iterations": 50},
        },
    }

    def __init__(self, augment: str | None = None) -> None:
        super().__init__(None, augment)

    @classmethod
    def splits(cls, data_dir: str | None) -> dict[str, Pictures]:
        from sklearn.datasets import load_digits

        found = load_digits()
        # Grey levels 0..16 to bytes, and back without loss: 255 / 16 is over 1.
        images = torch.from_numpy(np.round(found.images * (255 / 16)).astype(np.uint8))
        every = Pictures(images.unsqueeze(1), torch.from_numpy(found.target.astype(np.int64)))
        bucket = buckets(every.images)
        return {
            "train": every.where(bucket > 2),
            "validation": every.where(bucket == 2),
            "test": every.where(bucket < 2),
        }
