"""The training problems of each step, made ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator

from comparisons.hardware import quick_gpu
from foundations.records.spec import RunSpec, TrainSpec
from tasks.base import Batch, Task
from tasks.sampling import permute_many, stream_key

#: Problems made in one go, the batches of several steps: what a call costs is then shared by them.
AT_ONCE = 256


def batch_indices(spec: RunSpec, steps: range) -> np.ndarray:
    """Numbers of the problems of consecutive steps, [steps, batch size]: every training problem
    once an epoch, in an order of its own.

    A pure function of the steps, so that a resumed run goes on in the middle of an epoch.
    """
    size, count = spec.train.batch_size, spec.train_samples
    places = np.arange(steps.start * size, steps.stop * size)
    indices = np.empty(len(places), np.int64)
    for epoch in np.unique(places // count):
        in_epoch = places // count == epoch
        key = stream_key("order", spec.seed, "train", int(epoch))
        indices[in_epoch] = permute_many(places[in_epoch] % count, count, key)
    return indices.reshape(len(steps), size)


def _stretches(train: TrainSpec, first: int) -> Iterator[range]:
    """The steps from `first` on in stretches of one difficulty whose problems are few enough to be
    made at once."""
    while first < train.total_steps:
        end = train.easiest_steps if first < train.easiest_steps else train.total_steps
        stretch = range(first, min(first + max(AT_ONCE // train.batch_size, 1), end))
        yield stretch
        first = stretch.stop


def batches(task: Task, spec: RunSpec, first: int, accelerator: Accelerator) -> Generator[Batch]:
    """This process's share of every step's problems from step `first` on, made at least two steps
    ahead."""
    device = accelerator.device
    rank, processes = accelerator.process_index, accelerator.num_processes

    def make(steps: range) -> list[Batch]:
        indices = batch_indices(spec, steps)[:, rank::processes]
        easy = steps.start < spec.train.easiest_steps
        difficulty = task.spec.difficulties[0] if easy else spec.train_difficulty
        made = task.sample(
            difficulty, seed=spec.data_seed, split="train", indices=indices.reshape(-1)
        )
        if quick_gpu(device):  # so that the copy does not wait for the steps before it
            made = made.map(torch.Tensor.pin_memory)
        made = made.to(device, non_blocking=True)
        share = indices.shape[1]
        return [made[k * share : (k + 1) * share] for k in range(len(steps))]

    stretches = _stretches(spec.train, first)
    with ThreadPoolExecutor(1) as pool:
        ahead = deque(pool.submit(make, stretch) for stretch in islice(stretches, 2))
        while ahead:
            ready = ahead.popleft().result()
            ahead.extend(pool.submit(make, stretch) for stretch in islice(stretches, 1))
            yield from ready
