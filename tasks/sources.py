"""Where real data comes from: the hub, local parquet files, folders of images."""

from __future__ import annotations

import contextlib
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

_SECONDS = 5.0  # how long to wait for a host before calling it out of reach
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


class MissingData(FileNotFoundError, ValueError):
    """Data neither here nor within reach; the message says what to download, and whereto."""


def reachable(url: str) -> bool:
    """Whether the host answers (anything) within a few seconds, by whatever proxy is set."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def quiet(offline: bool = False) -> Iterator[None]:
    """No progress bars, and, if `offline`, no attempts at the network, which would wait."""
    import datasets
    import huggingface_hub.constants as hub

    bars = datasets.is_progress_bar_enabled()
    before = datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE
    datasets.disable_progress_bars()
    if offline:
        datasets.config.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE = before
        if bars:
            datasets.enable_progress_bars()


def hub_dataset(hub_id: str, config: str | None, split: str, advice: str) -> Dataset:
    """A split of a data set of the hub, from its local cache where that has it.

    `MissingData` (a ValueError), one line ending in `advice`, if it is neither cached nor within
    reach.
    """
    import datasets

    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    offline = datasets.config.HF_HUB_OFFLINE or not reachable(endpoint)
    with quiet(offline):
        try:
            return datasets.load_dataset(hub_id, config, split=split)
        except (OSError, ValueError, RuntimeError) as error:
            reason = "is out of reach" if offline else f"failed ({type(error).__name__})"
            raise MissingData(f"the data set {hub_id} on the hub {reason}; {advice}") from error


def _named(folder: Path, split: str, suffixes: tuple[str, ...]) -> list[Path]:
    """Files under a folder with one of the suffixes whose name, or a folder above, begins with the
    split."""
    files = (f for f in sorted(folder.rglob("*")) if f.suffix.lower() in suffixes)
    parts = ((f, f.relative_to(folder).parts) for f in files)
    return [f for f, names in parts if any(n.lower().startswith(split) for n in names)]


def local_dataset(folder: str | os.PathLike[str], split: str) -> Dataset:
    """A split, "train" or "test", of a folder.

    The folder holds parquet files that begin with the split's name (`train.parquet`,
    `plain_text/test-00000-of-00001.parquet`) or pictures in a folder a class (`train/cat/1.png`).
    ValueError, saying what was looked for, if there are neither.
    """
    import datasets

    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(f"data_dir {str(folder)!r} is not a folder")
    tables = _named(root, split, (".parquet",))
    pictures = [] if tables else _named(root, split, _IMAGES)
    if not tables and not pictures:
        raise ValueError(
            f"data_dir {str(folder)!r} has neither {split}*.parquet nor pictures in {split}/CLASS/"
        )
    files = {split: [str(file) for file in tables or pictures]}
    with quiet(offline=True):
        if tables:
            return datasets.load_dataset("parquet", data_files=files, split=split)
        return datasets.load_dataset(
            "imagefolder", data_files=files, drop_labels=False, split=split
        )
