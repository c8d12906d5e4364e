"""Problems as data sets of torch and of Hugging Face, made when they are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from foundations.errors import unknown_name
from tasks import load_task
from tasks.base import Difficulty, Task

FORMS = ("map", "iterable", "huggingface")
_CHUNK = 64  # problems made at a time
_SHARDS = 64  # that workers and machines may divide a stream into

Item = dict[str, Tensor]


@dataclass
class Problems(Dataset[Item]):
    """Problem i of a split: {"inputs": float32 [C, *S], "targets": int64 [*S] or []} and, where the
    task has one, "mask": bool [*S]. The default collate makes a batch of them."""

    task: Task
    difficulty: Difficulty
    count: int | None
    seed: int
    split: str

    def __len__(self) -> int:
        assert self.count is not None
        return self.count

    def __getitem__(self, index: int) -> Item:
        if self.count is not None and not -self.count <= index < self.count:
            raise IndexError(f"there are {self.count:,} problems, no number {index}")
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Several at once, which a `DataLoader` asks for: quicker than one by one."""
        numbers = [index % self.count if self.count else index for index in indices]
        batch = self.task.sample(self.difficulty, seed=self.seed, split=self.split, indices=numbers)
        parts = {"inputs": batch.inputs, "targets": batch.targets}
        parts |= {} if batch.mask is None else {"mask": batch.mask}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(batch))]

    def chunks(self, start: int, step: int) -> Iterator[list[Item]]:
        """Every step-th chunk of problems from the start-th one on, to the end if there is one."""
        for number in itertools.count(start, step):
            first, last = number * _CHUNK, (number + 1) * _CHUNK
            last = last if self.count is None else min(last, self.count)
            if first >= last:
                return
            yield self.__getitems__(range(first, last))


class Stream(IterableDataset[Item]):
    """The same in order, without end where no count is given; workers of a `DataLoader` share
    them."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        place = (worker.id, worker.num_workers) if worker else (0, 1)
        return itertools.chain.from_iterable(self.problems.chunks(*place))


def _examples(problems: Problems, shards: list[int]) -> Iterator[dict[str, Any]]:
    """For `datasets`: those of some shards, in turns, so that a stream without end has all."""
    each = [problems.chunks(shard, _SHARDS) for shard in shards]
    for round_number in itertools.count():
        some = False
        for shard, chunks in zip(shards, each, strict=True):
            first = (round_number * _SHARDS + shard) * _CHUNK
            for offset, item in enumerate(next(chunks, ())):
                some = True
                yield {"index": first + offset} | {k: part.numpy() for k, part in item.items()}
        if not some:
            return


def as_dataset(
    task: Task | str,
    difficulty: Difficulty | None = None,
    count: int | None = None,
    *,
    seed: int = 0,
    split: str = "train",
    form: str = "map",
    **options: Any,
) -> Any:
    """Problems of a task as a data set: the first `count` of a split, the same as of `sample`.

    task: one, or its name, with its options. difficulty: by default the one that is trained on.
    count: None for all that the split has, without end where that is more than anyone can draw.
    form: "map", a torch `Dataset`; "iterable", a torch `IterableDataset`; "huggingface", a
    `datasets.IterableDataset` with the number of each problem as "index". ValueError for what the
    task has not, and for a map without end.
    """
    if form not in FORMS:
        raise unknown_name("form", form, FORMS)
    task = load_task(task, **options) if isinstance(task, str) else task
    difficulty = task.spec.train_difficulty if difficulty is None else difficulty
    one = task.sample(difficulty, 1, seed, split)
    count = task.capacity(difficulty, split) if count is None else count
    if count is not None:
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        task.check_count(difficulty, split, count)
    problems = Problems(task, difficulty, count, seed, split)
    if form == "iterable":
        return Stream(problems)
    if form == "huggingface":
        import datasets

        from tasks.export import features_of

        return datasets.IterableDataset.from_generator(
            _examples,
            features=features_of(one),
            gen_kwargs={"problems": problems, "shards": list(range(_SHARDS))},
        )
    if count is None:
        raise ValueError(f"{task.spec.name} has no end of {split} problems: give a count")
    return problems
