"""What the tests of drawn tasks share: properties of every such task, and a classifier."""

import numpy as np
import torch
from hypothesis import strategies as st

from tasks.contours import split_of

SPLITS = ("train", "validation", "test")
#: Where problems are: seeds and splits.
SEEDS, SPLIT = st.integers(0, 2**31), st.sampled_from(SPLITS)


def check_that_a_problem_depends_on_its_place_alone(task, difficulty, seed, split):
    whole = task.sample(difficulty, 6, seed=seed, split=split)
    some = task.sample(difficulty, seed=seed, split=split, indices=[4, 1])
    assert torch.equal(some.inputs, whole.inputs[[4, 1]])
    assert torch.equal(some.targets, whole.targets[[4, 1]])


def check_that_splits_share_no_problem_and_no_image(task, difficulty, count):
    seen = {}
    for number, split in enumerate(SPLITS, start=1):
        for seed in (0, 1):
            images, record = task.draw_with_record(difficulty, np.arange(count), seed, split)
            assert {split_of(p) for p in record.problems} == {number}
            for image in images:
                assert seen.setdefault(image.tobytes(), (split, seed)) == (split, seed)
    assert len(seen) == 6 * count


def accuracy_by_distance(marks, labels):
    """Accuracy on the second half of drawings of a classifier by bins of the distance of their two
    marks [n, 2, 2], learned on the first half."""
    values = np.hypot(*(marks[:, 0] - marks[:, 1]).T)
    edges = np.quantile(values, np.linspace(0, 1, 13)[1:-1])
    bins, half = np.digitize(values, edges), len(values) // 2
    votes = np.zeros(12)
    np.add.at(votes, bins[:half], 2 * labels[:half] - 1)
    return ((votes[bins[half:]] > 0) == labels[half:]).mean()
