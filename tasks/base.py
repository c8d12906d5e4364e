"""What a task is: facts for whoever builds a network, problems by index, and what a right answer
is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeGuard

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foundations.errors import unknown_name

SPLITS = ("train", "validation", "test")

Difficulty = int | str


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer, Python's or NumPy's, and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


@dataclass(frozen=True)
class TaskSpec:
    """All that a paradigm may learn about a task.

    in_channels: C of the inputs, float32 of shape [n, C, *S]. spatial_dims: len(S), 1 or 2. dense:
    logits are [n, K, *S] (an answer per site) if true, else [n, K]. outputs: K; 1 means one logit
    for a yes-or-no answer. difficulties: the usual ones, easiest first. size: S where every
    difficulty has the same, else None. chance: exact-match accuracy of the best constant answer.
    answers: words for the answers 0, 1, ... where an answer is a class, for those who read a
    report.
    """

    name: str
    in_channels: int
    spatial_dims: int
    dense: bool
    outputs: int
    difficulties: tuple[Difficulty, ...]
    train_difficulty: Difficulty
    size: tuple[int, ...] | None = None
    chance: float = 0.0
    difficulty_label: str = "difficulty"
    answers: tuple[str, ...] = ()

    def logits_shape(self, inputs: Tensor) -> tuple[int, ...]:
        """The shape of the logits for inputs [n, C, *S]."""
        return (len(inputs), self.outputs, *(inputs.shape[2:] if self.dense else ()))

    def level(self, difficulty: Difficulty) -> int:
        """A number that grows with difficulty: itself, or the place (from 1) of a named one."""
        if isinstance(difficulty, str):
            return self.difficulties.index(difficulty) + 1
        return int(difficulty)


@dataclass(frozen=True)
class Batch:
    """inputs: float32 [n, C, *S]. targets: int64 [n, *S] if dense, else [n].
    mask: bool [n, *S], the sites that count, or None when all do."""

    inputs: Tensor
    targets: Tensor
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, which: slice | Tensor) -> Batch:
        mask = None if self.mask is None else self.mask[which]
        return Batch(self.inputs[which], self.targets[which], mask)

    def mirrored(self, chosen: Tensor, axis: int) -> Batch:
        """The problems that a bool [n] picks turned about an axis of S, dense answers with them."""

        def mirror(t: Tensor) -> Tensor:
            if t.dim() == 1:
                return t
            return torch.where(chosen.view(-1, *[1] * (t.dim() - 1)), t.flip(axis), t)

        mask = None if self.mask is None else mirror(self.mask)
        return Batch(mirror(self.inputs), mirror(self.targets), mask)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same problems on another device."""
        return self.map(lambda t: t.to(device, non_blocking=non_blocking))

    def map(self, f: Callable[[Tensor], Tensor]) -> Batch:
        """`f` of each tensor in its place."""
        mask = None if self.mask is None else f(self.mask)
        return Batch(f(self.inputs), f(self.targets), mask)

    def copy_(self, other: Batch) -> None:
        """Take over the problems of a batch of the same shapes."""
        self.inputs.copy_(other.inputs)
        self.targets.copy_(other.targets)
        if self.mask is not None and other.mask is not None:
            self.mask.copy_(other.mask)


class Task:
    """A family of problems. A task overrides `make` and what else differs from these defaults.

    Class attributes: `title` is what reports call it, if not by its name; `presets` maps a preset's
    name to what a study of that size uses here, with any of the keys `options` (for the
    constructor), `train_difficulty`, `test_difficulties`, `train_samples` (a tuple), `train`
    (fields of the training recipe) and `evaluation`; `perturbations` maps the names that `perturb`
    takes to what each changes in a problem; `layouts` maps names of published data sets to
    functions that write problems as their files do: write(task, difficulty, count, out, *, seed,
    split) makes them under the folder `out`, refuses to overwrite (ValueError), and returns the
    file or folder made.
    """

    spec: TaskSpec
    title: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    perturbations: ClassVar[Mapping[str, str]] = {}
    layouts: ClassVar[Mapping[str, Callable[..., Path]]] = {}

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        """Problems number `indices` (int64 [n], >= 0): a pure function of all four arguments."""
        raise NotImplementedError

    def axes(self) -> Mapping[str, Mapping[str, Any]]:
        """What else than difficulty problems can differ in: by name, all options of a task of the
        same family whose problems differ so, and "plain", those that do not. Here none."""
        return {}

    def check_difficulty(self, difficulty: Difficulty) -> None:
        """Raise ValueError, saying what is allowed, for a difficulty that makes no sense."""
        if difficulty not in self.spec.difficulties:
            raise unknown_name(f"{self.spec.name} difficulty", difficulty, self.spec.difficulties)

    def capacity(self, difficulty: Difficulty, split: str) -> int | None:
        """How many distinct problems the split holds; None when far more than anyone can draw."""
        return None

    def sample(
        self,
        difficulty: Difficulty,
        count: int | None = None,
        seed: int = 0,
        split: str = "train",
        *,
        indices: Sequence[int] | np.ndarray | None = None,
    ) -> Batch:
        """The first `count` problems of a split, or those numbered `indices`.

        Problem i depends on (difficulty, split, seed, i) alone. Raises ValueError for a difficulty,
        split, seed or count that makes no sense, and where the split has fewer distinct problems
        than are asked for.
        """
        if (count is None) == (indices is None):
            raise ValueError("give either count or indices")
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        if not is_whole(seed) or seed < 0:
            raise ValueError(f"seed must be an integer of at least 0, not {seed!r}")
        if count is not None:
            if not is_whole(count) or count < 1:
                raise ValueError(f"count must be an integer of at least 1, not {count!r}")
            indices = np.arange(count)
        indices = np.asarray(indices, dtype=np.int64)
        if indices.ndim != 1 or len(indices) == 0 or indices.min() < 0:
            raise ValueError("indices must be a non-empty list of integers of at least 0")
        self.check_difficulty(difficulty)
        self.check_count(difficulty, split, int(indices.max()) + 1)
        return self.make(difficulty, indices, int(seed), split)

    def example(self, difficulty: Difficulty) -> Batch:
        """One problem, to see how large those of a difficulty are: of validation, which nothing is
        judged by, or where there are none of test or training."""
        held = (s for s in ("validation", "test", "train") if self.capacity(difficulty, s) != 0)
        return self.sample(difficulty, 1, split=next(held, "validation"))

    def check_count(self, difficulty: Difficulty, split: str, count: int) -> None:
        """Raise ValueError if the split holds fewer than `count` distinct problems."""
        held = self.capacity(difficulty, split)
        if held is not None and count > held:
            raise ValueError(
                f"{self.spec.name} {self.spec.difficulty_label} {difficulty} has only {held:,}"
                f" distinct {split} problems, {count:,} were asked for"
            )

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Random changes that keep the answer right, drawn on the batch's device; here none."""
        return batch

    def perturb(
        self, batch: Batch, indices: Sequence[int] | np.ndarray, seed: int, name: str
    ) -> Batch:
        """The same problems after the change `name`, one of `perturbations`, with the answers that
        then are right: what a network is asked after it has solved the first ones.

        indices: the numbers of the batch's problems. What befalls problem i depends on itself, seed
        and i alone. ValueError for a name that the task does not offer.
        """
        raise unknown_name(f"{self.spec.name} perturbation", name, self.perturbations)

    # What a right answer is. Logits are [n, K, *S] (dense) or [n, K]; K = 1 is one yes-or-no logit.

    def loss(self, logits: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy in nats over the sites that count; a scalar."""
        each = self._cross_entropy(logits, batch, label_smoothing)
        if batch.mask is None:
            return each.mean()
        # A masked sum, not each[mask]: selecting by a mask makes an accelerator wait for its size.
        return (each * batch.mask).sum() / batch.mask.sum()

    def losses(self, logits: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """float [n]: the same of each problem by itself."""
        each = self._cross_entropy(logits, batch, label_smoothing).reshape(len(batch), -1)
        if batch.mask is None:
            return each.mean(1)
        mask = batch.mask.flatten(1)
        return (each * mask).sum(1) / mask.sum(1)

    def _cross_entropy(self, logits: Tensor, batch: Batch, label_smoothing: float) -> Tensor:
        logits = logits.float()
        if self.spec.outputs == 1:
            smoothed = batch.targets.float() * (1 - label_smoothing) + label_smoothing / 2
            return F.binary_cross_entropy_with_logits(logits.squeeze(1), smoothed, reduction="none")
        return F.cross_entropy(
            logits, batch.targets, reduction="none", label_smoothing=label_smoothing
        )

    def predict(self, logits: Tensor, batch: Batch) -> Tensor:
        """The answer the logits stand for: int64 like `batch.targets`, 0 off the mask."""
        if self.spec.outputs == 1:
            answer = (logits.squeeze(1) > 0).long()
        elif self.spec.outputs == 2:
            answer = (logits[:, 1] > logits[:, 0]).long()  # argmax, many times faster on a CPU
        else:
            answer = logits.argmax(1)
        return answer if batch.mask is None else answer * batch.mask

    def correct(self, logits: Tensor, batch: Batch) -> Tensor:
        """bool [n]: the whole answer is right."""
        right = self.predict(logits, batch) == batch.targets
        return right.flatten(1).all(1) if self.spec.dense else right

    def element_accuracy(self, logits: Tensor, batch: Batch) -> Tensor:
        """float [n]: the share of the sites that count which are right; 0 or 1 if not dense."""
        right = (self.predict(logits, batch) == batch.targets).float()
        if not self.spec.dense:
            return right
        if batch.mask is None:
            return right.flatten(1).mean(1)
        mask = batch.mask.flatten(1)
        return (right.flatten(1) * mask).sum(1) / mask.sum(1)

    def picture(self, inputs: Tensor) -> Tensor:
        """float [n, 3, H, W] in [0, 1] to show problems to people; strings become one row."""
        shown = inputs if self.spec.spatial_dims == 2 else inputs.unsqueeze(2)
        low, high = shown.amin(), shown.amax()
        shown = (shown - low) / (high - low).clamp_min(1e-8)
        if shown.shape[1] != 3:
            shown = shown.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        return shown
