"""Pathfinder: the drawing is what its record says, and what the published set looks like."""

import csv

import commands
import numpy as np
import pytest
import torch
from drawings import (
    SEEDS,
    SPLIT,
    accuracy_by_distance,
    check_that_a_problem_depends_on_its_place_alone,
    check_that_splits_share_no_problem_and_no_image,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from tasks import load_task
from tasks.paddles import LENGTH, PAIR, PITCH, REACH, direction_angles, directions
from tasks.pathfinder import Pathfinder
from tasks.remembered import remembered

REFERENCE = commands.SHARED / "reference" / "pathfinder"
TASK = Pathfinder()
SMALL = Pathfinder(size=64, canvas=128)
COUNT = 60


def tips(heads, ring, angles):
    """First and last tip of each path. heads: [..., 3] of first and of last paddles."""
    heading = np.stack([-np.sin(angles[heads[..., 2]]), np.cos(angles[heads[..., 2]])], -1)
    return heads[..., :2] - LENGTH * heading, heads[..., :2]


@pytest.fixture(scope="module", params=[6, 9, 14])
def drawn(request):
    images, record = TASK.draw_with_record(request.param, np.arange(COUNT), seed=3)
    return request.param, images, record


def test_ink_lies_only_inside_the_border_but_for_discs_on_tips(drawn):
    _, images, record = drawn
    inked = images >= 128
    rows, columns = np.mgrid[: TASK.canvas, : TASK.canvas]
    for image, discs in zip(inked, record.discs, strict=True):
        for y, x in discs:
            image[np.hypot(rows - y, columns - x) <= 6.5] = False
    inked[:, TASK.border : -TASK.border, TASK.border : -TASK.border] = False
    assert not inked.any()


def test_the_paddles_of_a_path_follow_one_another_at_the_pitch_and_turn_less_than_fifty_degrees(
    drawn,
):
    length, _, record = drawn
    angles, ring = direction_angles(), directions()
    for owner in range(2 + TASK.distractors):
        path = record.paddles[:, record.owner == owner]
        assert path.shape[1] == (length if owner < 2 else length // 3)
        pivots = path[..., :2] - ring[path[..., 2]]
        steps = np.linalg.norm(np.diff(pivots, axis=1), axis=-1)
        assert np.abs(steps - PITCH).max() <= 0.75  # pivots are whole pixels
        turns = np.diff(angles[path[..., 2]], axis=1)
        turns = np.abs((turns + np.pi) % (2 * np.pi) - np.pi)
        assert np.rad2deg(turns).max() < 50.01


def test_target_paths_start_a_pair_distance_apart(drawn):
    length, _, record = drawn
    angles = direction_angles()
    first, _ = tips(record.paddles[:, [0, length]], directions(), angles)
    assert np.abs(np.linalg.norm(first[:, 0] - first[:, 1], axis=1) - PAIR).max() < 2.5


def test_discs_lie_on_tips_and_the_label_says_whether_one_path_has_both(drawn):
    length, images, record = drawn
    angles = direction_angles()
    first, _ = tips(record.paddles[:, [0, length]], directions(), angles)
    _, last = tips(record.paddles[:, [length - 1, 2 * length - 1]], directions(), angles)
    for i in range(COUNT):
        start = np.linalg.norm(first[i] - record.discs[i, 0], axis=1)
        end = np.linalg.norm(last[i] - record.discs[i, 1], axis=1)
        assert start.min() <= 1
        assert end.min() <= 1
        assert start.argmin() == record.chosen[i]
        assert (start.argmin() == end.argmin()) == bool(record.labels[i])
        for y, x in record.discs[i]:
            assert images[i, y - 3 : y + 4, x - 3 : x + 4].min() > 240  # filled, and bright


def reachable_along_gaps(paddles, owner, begin):
    """Which paddles a walk from `begin` reaches, from a paddle to the next whose tail is just
    ahead."""
    angles = direction_angles()
    heading = np.stack([-np.sin(angles[paddles[:, 2]]), np.cos(angles[paddles[:, 2]])], 1)
    heads, tails = paddles[:, :2], paddles[:, :2] - LENGTH * heading
    pivots = paddles[:, :2] - directions()[paddles[:, 2]]
    ahead = (heads - REACH * heading) + PITCH * heading
    joined = np.linalg.norm(ahead[:, None] - pivots[None], axis=-1) < 1.6
    joined &= np.linalg.norm(heads[:, None] - tails[None], axis=-1) < 8
    seen, todo = {begin}, [begin]
    while todo:
        here = todo.pop()
        for onward in np.flatnonzero(joined[here] | joined[:, here]):
            if onward not in seen:
                seen.add(int(onward))
                todo.append(int(onward))
    return seen


def test_walking_from_disc_to_disc_over_the_recorded_paddles_recovers_both_paths_and_the_label(
    drawn,
):
    length, _, record = drawn
    agree = 0
    for i in range(COUNT):
        paddles = record.paddles[i]
        begin = record.chosen[i] * length
        walked = reachable_along_gaps(paddles, record.owner, begin)
        assert set(range(begin, begin + length)) <= walked
        heads = paddles[[length - 1, 2 * length - 1], :2]
        end = np.linalg.norm(heads - record.discs[i, 1], axis=1).argmin()
        agree += ((end * length + length - 1) in walked) == bool(record.labels[i])
    assert agree >= COUNT - 1  # two paths may by chance meet head to tail


def test_every_recorded_paddle_is_one_piece_of_ink_apart_from_the_others():
    images, record = Pathfinder().draw_with_record(9, np.arange(20))
    for image, paddles, discs in zip(images, record.paddles, record.discs, strict=True):
        pieces, count = ndimage.label(image >= 100, structure=np.ones((3, 3)))
        free = np.ones(len(paddles), bool)
        for y, x in discs:
            free &= np.hypot(paddles[:, 0] - y, paddles[:, 1] - x) > 14
        angles = direction_angles()[paddles[free, 2]]
        middle = paddles[free, :2] - LENGTH / 2 * np.stack([-np.sin(angles), np.cos(angles)], 1)
        found = pieces[tuple(np.rint(middle).astype(int).T)]
        assert (found > 0).all()
        assert len(set(found)) == free.sum()
        assert count <= len(paddles)


def test_classes_are_balanced():
    labels = TASK.sample(6, 4000).targets.float()
    assert abs(labels.mean() - 0.5) < 0.03  # 3.8 standard errors


@pytest.mark.parametrize("length", [6, 9])
def test_pixel_statistics_do_not_tell_the_classes_apart(length):
    batch = TASK.sample(length, 3000, split="test")
    ink = (batch.inputs + 0.5).flatten(1).sum(1)
    one, zero = ink[batch.targets == 1], ink[batch.targets == 0]
    error = (one.var() / len(one) + zero.var() / len(zero)).sqrt()
    assert abs(one.mean() - zero.mean()) < 4 * error
    assert abs(one.mean() / zero.mean() - 1) < 0.01


def test_matched_drawings_leave_a_classifier_on_disc_distance_at_chance():
    _, record = Pathfinder(matched=True).draw_with_record(6, np.arange(2400))
    discs, labels = record.discs, record.labels
    assert abs(accuracy_by_distance(discs, labels) - 0.5) < 0.07
    values = np.hypot(*(discs[:, 0] - discs[:, 1]).T)
    one, zero = values[labels == 1], values[labels == 0]
    assert abs(one.mean() - zero.mean()) < 0.6  # pixels


def test_published_drawings_let_disc_distance_betray_labels_so_matching_has_a_use():
    _, record = TASK.draw_with_record(6, np.arange(2000))
    assert accuracy_by_distance(record.discs, record.labels) > 0.7


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.integers(2, 9), SPLIT)
def test_a_problem_depends_on_nothing_but_its_place(seed, length, split):
    check_that_a_problem_depends_on_its_place_alone(SMALL, length, seed, split)


def test_splits_share_no_problem_and_no_image():
    check_that_splits_share_no_problem_and_no_image(SMALL, 4, 50)


def test_batches_are_the_reduced_drawings():
    images, record = TASK.draw_with_record(6, np.arange(3))
    batch = TASK.sample(6, 3)
    assert torch.equal(batch.targets, torch.from_numpy(record.labels))
    nearest = images[:, 1::2, 1::2] / 255.0 - 0.5
    assert np.allclose(batch.inputs[:, 0].numpy(), nearest, atol=1e-6)
    mean = Pathfinder(reduction="area").sample(6, 3).inputs[:, 0].numpy()
    assert np.allclose(mean, images.reshape(3, 150, 2, 150, 2).mean((2, 4)) / 255 - 0.5, atol=1e-5)


def test_the_segmentation_form_marks_the_path_with_the_disc():
    task = Pathfinder(segmentation=True, size=300)
    _, record = task.draw_with_record(6, np.arange(30))
    batch = task.sample(6, 30)
    assert task.spec.dense
    assert task.spec.outputs == 2
    assert not (batch.targets.bool() & ~batch.mask).any()
    for i in range(30):
        assert (record.discs[i, 1] == -1).all()
        marked = batch.targets[i].numpy().astype(bool)
        for p, (y, x, d) in enumerate(record.paddles[i]):
            angle = direction_angles()[d]
            middle = round(y + LENGTH / 2 * np.sin(angle)), round(x - LENGTH / 2 * np.cos(angle))
            if np.hypot(*(np.array(middle) - record.discs[i, 0])) > 9:
                assert batch.mask[i][middle]
                assert marked[middle] == (record.owner[p] == record.chosen[i])
        assert marked[tuple(record.discs[i, 0])]


def test_contrast_dims_paddles_and_not_discs():
    dim, record = Pathfinder(contrast=0.5).draw_with_record(6, np.arange(4))
    full, _ = TASK.draw_with_record(6, np.arange(4))
    assert dim.max() == full.max()
    far = np.abs(dim.astype(int) - full // 2) <= 1
    rows, columns = np.mgrid[:300, :300]
    for i in range(4):
        for y, x in record.discs[i]:
            far[i] |= np.hypot(rows - y, columns - x) < 12
    assert far.all()


def test_more_continuity_gives_straighter_paths():
    def bend(continuity):
        _, record = Pathfinder(continuity=continuity).draw_with_record(9, np.arange(20))
        turns = np.diff(direction_angles()[record.paddles[:, :9, 2]], axis=1)
        return np.abs((turns + np.pi) % (2 * np.pi) - np.pi).mean()

    assert bend(4.0) < 0.7 * bend(1.8)


@pytest.mark.parametrize("segmentation", [False, True])
def test_flips_keep_the_answer_and_move_inputs_and_targets_alike(segmentation):
    task = Pathfinder(size=64, canvas=128, flips=True, segmentation=segmentation)
    batch = task.sample(6, 40)
    flipped = task.augment(batch, torch.Generator().manual_seed(0))
    kinds = set()
    for i in range(40):
        axes = [
            a
            for a in ([], [-1], [-2], [-1, -2])
            if torch.equal(flipped.inputs[i], batch.inputs[i].flip(a))
        ]
        kinds.add(tuple(axes[0]))
        after = batch.targets[i].flip(axes[0]) if segmentation else batch.targets[i]
        assert torch.equal(flipped.targets[i], after)
    assert len(kinds) == 4
    still = Pathfinder(size=64, canvas=128).augment(batch, torch.Generator().manual_seed(0))
    assert torch.equal(still.inputs, batch.inputs)


@pytest.mark.parametrize(
    "options",
    [
        {"contrast": 0}, {"contrast": (0.5, 2)}, {"continuity": 0}, {"size": 400},
        {"reduction": "mode"},
        {"border": -1}, {"distractors": 1.5},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"must|unknown"):
        load_task("pathfinder", **options)


def test_lengths_that_cannot_fit_are_refused():
    for length in (1, "easy", 6.0, 100_000, True):
        with pytest.raises(ValueError, match="length"):
            TASK.sample(length, 1)
    with pytest.raises(ValueError, match="do not fit"):
        Pathfinder(size=32, canvas=96, distractors=300).sample(6, 1)


# --- against drawings of the public generator ----------------------------------------------------


def measured(images):
    """Ink share, mean ink of a paddle, of a disc, mean distance from a paddle to the nearest
    ink."""
    ink, paddles, discs, gaps, edge = [], [], [], [], 300
    for image in images.astype(float) / 255:
        ink.append(image.mean())
        pieces, count = ndimage.label(image > 0.25, structure=np.ones((3, 3)))
        sums = ndimage.sum(image, pieces, np.arange(1, count + 1))
        discs += [s for s in sums if 70 < s < 84]
        alone = np.flatnonzero(sums < 16) + 1
        paddles += list(sums[alone - 1])
        paddle = np.isin(pieces, alone)
        rows, columns = np.nonzero(paddle)
        edge = min(edge, rows.min(), columns.min(), 299 - rows.max(), 299 - columns.max())
        places = ndimage.find_objects(pieces)
        for number in alone:
            place = places[number - 1]
            window = tuple(slice(max(0, s.start - 25), s.stop + 25) for s in place)
            own = pieces == number
            others = paddle[window] & ~own[window]
            if others.any():
                gaps.append(ndimage.distance_transform_edt(~own[window])[others].min())
    return np.mean(ink), np.mean(paddles), np.mean(discs), np.mean(gaps), edge


@pytest.mark.skipif(
    not REFERENCE.exists(), reason="needs the published drawings in TEST_DATA/reference"
)
@pytest.mark.parametrize("length", [6, 14])
def test_drawings_measure_as_the_reference(length):
    with open(REFERENCE / "labels.csv") as f:
        files = [r["file"] for r in csv.DictReader(f) if int(r["length"]) == length]
    theirs = measured(np.stack([np.asarray(Image.open(REFERENCE / f)) for f in files]))
    ours = measured(TASK.draw_with_record(length, np.arange(len(files)))[0])
    for what, a, b in zip(("ink", "paddle", "disc", "gap"), ours, theirs, strict=False):
        assert a == pytest.approx(b, rel=0.04), what
    assert abs(ours[4] - theirs[4]) <= 2


@given(
    order=st.permutations(range(12)),
    again=st.permutations(range(12)),
    segmentation=st.booleans(),
    contrast=st.sampled_from([1.0, (0.3, 0.9)]),
)
@settings(max_examples=10)
def test_a_drawing_is_the_same_whatever_was_drawn_before(order, again, segmentation, contrast):
    """What is remembered of earlier drawings spares time and changes nothing."""
    options = {"size": 32, "canvas": 160, "border": 6, "matched": True, "contrast": contrast}
    task = Pathfinder(segmentation=segmentation, **options)
    remembered.cache_clear()
    fresh = task.sample(6, indices=np.array(order), seed=1)
    later = task.sample(6, indices=np.array([*again, 5, 3000]), seed=1)
    place = {number: at for at, number in enumerate(order)}
    at = [place[number] for number in again]
    assert torch.equal(later.inputs[:12], fresh.inputs[at])
    assert torch.equal(later.targets[:12], fresh.targets[at])
    assert torch.equal(later.inputs[12], fresh.inputs[place[5]])


def test_what_is_remembered_is_of_one_kind_of_drawing():
    remembered.cache_clear()
    numbers = np.array([0, 2**40])
    pictures = [
        Pathfinder(size=32, canvas=160, border=border, matched=matched).sample(
            length, indices=numbers, seed=seed, split=split
        )
        for border, matched, length, seed, split in (
            (6, False, 6, 0, "train"), (6, True, 6, 0, "train"), (7, False, 6, 0, "train"),
            (6, False, 5, 0, "train"), (6, False, 6, 1, "train"), (6, False, 6, 0, "test"),
        )
    ]  # fmt: skip
    assert remembered.cache_info().currsize == 6
    assert len({batch.inputs.numpy().tobytes() for batch in pictures}) == 6
