"""The report on probes of internals and on recovery from perturbations, from records in any
state."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest
from browsing import open_page
from made_records import make_records
from safetensors.numpy import load_file, save_file

from reports import build_report
from reports.figures.answer_frames import outcome
from reports.figures.catalogue import section_figures
from reports.figures.paper import export_figures
from reports.figures.recovery import PERTURBATIONS
from reports.page.page import render
from reports.read.load import load_records
from reports.read.sections import sections

STEPS = [1, 2, 4, 8, 16, 32]


def probe_entry(difficulty: int, recurrent: bool, place: int) -> dict:
    """What a run stores about one difficulty: at rest by 32 iterations, one of 4 problems in a
    cycle of 3."""
    found = {
        "test_task": "maze",
        "test_difficulty": difficulty,
        "n": 4,
        "iterations": 32,
        "train_iterations": 16,
        "ends": not recurrent,
        "not_applicable": {},
        "grid": STEPS,
        "components": {
            "n": 4,
            "explained": [0.7, 0.2, 0.1],
            "path": [[float(i), float(i * i), 0.0] for i in range(6)],
        },
        "receptive": {
            "iterations": [1, 16, 32],
            "n": [4, 4, 4],
            "radius": [2.0, 4.0 + place, 5.0],
            "uniform": 9.0,
            "shown": [1, 16, 32],
        },
    }
    for name in ("rest", "step"):
        middle = [2.0**-i for i in range(5)] + [0.0]
        low = [0.0 if i == 3 else v / 2 for i, v in enumerate(middle)]
        found[name] = {"low": low, "median": middle, "high": [*middle[:-1], 0]}
    if recurrent:
        curve = np.linspace(0.1, 0.9, 21).tolist()
        found["filters"] = {
            "layers": 2, "filters": 8, "never_active": 2, "iterations": 16, "reused": 0.875,
            "reused_by_count": 0.5, "reused_beyond": 0.8, "curve": curve, "shown": STEPS,
        }  # fmt: skip
        found["limits"] = {"fixed point": 3, "cycle": 1, "settling": 0, "drift": 0}
        found["periods"] = {"3": 1}
        found["same_answer"] = 4
        found["solved"] = {"fixed point": 3, "cycle": 0, "settling": 0, "drift": 0}
    else:
        found["not_applicable"]["filters"] = "every filter is used once"
    return found


def perturbed_frames(side: int, name: str, right_before: bool) -> dict[str, np.ndarray]:
    """Four frames before the perturbation and four after, right again two iterations after it."""
    steps = np.array([1, 2, 4, 8, 8, 9, 10, 16])
    sure = np.linspace(0, 255, 8).astype(np.uint8)
    found = {
        "frames": np.broadcast_to(sure[:, None, None], (8, side, side)).copy(),
        "iterations": steps,
        "correct": np.array([0, 0, 0, right_before, 0, 0, 1, 1], np.uint8),
        "struck": np.array([4]),
    }
    if name == "end":
        found["picture"] = np.full((side, side, 3), 200, np.uint8)
    return found


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    out = make_records(
        tmp_path_factory.mktemp("inside"),
        tasks=("maze",),
        paradigms=("dt_net_recall", "feed_forward_recall"),
        seeds=(0, 1),
        samples=(1000,),
        difficulties=3,
        metrics=20,
    )
    rng = np.random.default_rng(0)
    for path in sorted((out / "runs").glob("*/result.json")):
        recurrent = "dt_net" in path.parent.name
        result = json.loads(path.read_text())
        result["inside"] = [probe_entry(d, recurrent, i) for i, d in enumerate((9, 13, 17))]
        ends = not recurrent
        result["recovery"] = [
            {
                "test_task": "maze",
                "test_difficulty": difficulty,
                "blow": blow,
                "before": 8 if ends else 16,
                "ends": ends,
                "n_test": 100,
                "iterations": [8] if ends else [1, 2, 4, 8, 16],
                "accuracy": [0.25] if ends else [0, 0.25, 0.5, 0.75, 1.0],
            }
            for difficulty in (9, 13)
            for blow in ("none", "end")
        ]
        path.write_text(json.dumps(result))
        held = {}
        for difficulty in (9, 13, 17):
            held[f"{difficulty}.receptive"] = rng.integers(0, 255, (3, 11, 11)).astype(np.uint8)
            if recurrent:
                held[f"{difficulty}.activity"] = rng.integers(0, 255, (6, 8)).astype(np.uint8)
        save_file(held, path.parent / "inside.safetensors")
        examples = path.parent / "examples.safetensors"
        tensors = load_file(examples)
        for difficulty in (9, 13, 17):
            for blow in ("none", "end"):
                frames = perturbed_frames(difficulty + 2, blow, difficulty < 17)
                tensors |= {f"{difficulty}.blow.{blow}.{k}": v for k, v in frames.items()}
        save_file(tensors, examples, {"dense": "true", "spatial_dims": "2", "iterations": "16"})
    return out


@pytest.fixture
def copy(probed, tmp_path):
    import shutil

    shutil.copytree(probed, tmp_path / "copy")
    return tmp_path / "copy"


def rewrite(out, change):
    for path in (out / "runs").glob("*/result.json"):
        result = json.loads(path.read_text())
        change(result)
        path.write_text(json.dumps(result))


def figures(out):
    records = load_records(out)
    return section_figures(sections(records.rows)[0], records.runs, "f")


def test_what_probes_recorded_is_in_the_table_and_the_figures(probed, tmp_path):
    page = render(load_records(probed))
    table = page[page.index("Probes of the network's internals</h3>") :]
    table = re.sub(r"<[^>]+>", " ", table[: table.index("</tbody>")])
    assert table.count("87.5\N{NO-BREAK SPACE}% (50.0\N{NO-BREAK SPACE}%)") == 3
    assert "6 at a fixed point, 2 in a cycle (period 3)" in table
    assert "70.0 + 20.0 + 10.0\N{NO-BREAK SPACE}%" in table
    assert "4 (after 16), 5 (after 32)" in table
    assert "not applicable to feed_forward_recall (every filter is used once)" in page
    made = figures(probed)
    assert {"inside-reuse", "inside-rest", "inside-path", "inside-receptive"} <= set(made)
    reuse = made["inside-reuse"]
    assert [p.title for p in reuse.panels] == ["size 9", "size 17"]
    assert [line.series for line in reuse.panels[0].lines] == ["dt_net_recall"]
    assert reuse.panels[0].lines[0].y[0] == 1
    rest = made["inside-rest"].panels[0]
    # The last state's distance from itself has no place on a log axis.
    assert all(line.x == STEPS[:-1] and min(line.y + line.low) > 0 for line in rest.lines)
    assert made["inside-receptive"].panels[0].marks == [("y", 9.0, "all of the input alike")]
    assert page.count('class="reuse"') == 2
    written = export_figures(load_records(probed), tmp_path / "figures")
    assert any("inside-rest" in path.name for path in written)


def test_networks_that_end_are_level_after_a_perturbation_and_the_caption_says_why(probed):
    made = figures(probed)
    figure = made["recovery"]
    assert "size 13" in figure.title + figure.caption
    assert "size 9" in made["recovery-trained"].title
    assert [panel.title for panel in figure.panels] == ["no perturbation", "end moved"]
    lines = {line.series: line for line in figure.panels[0].lines}
    assert lines["feed_forward_recall"].kind == "flat"
    assert lines["feed_forward_recall"].x == [8, 16]
    assert lines["feed_forward_recall"].y == [0.25, 0.25]
    assert lines["dt_net_recall"].x == [1, 2, 4, 8, 16]
    assert "perturbed half-way through their depth (8 iterations)" in figure.caption
    assert "changed after 16 iterations" in figure.caption


def test_a_film_is_of_the_hardest_difficulty_that_was_right_before_the_perturbation(probed):
    page = render(load_records(probed))
    assert page.count('data-event="the end moved"') == 2
    assert "size 13: end moved, after 8 iterations" in page
    assert "size 17: end moved" not in page
    assert "Right before, right again by iteration 2 after it and from then on." in page
    assert 'data-perturbed="4"' in page


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ([1, 0, 0, 0], "Right before, not right in the 4 iterations after."),
        ([1, 0, 1, 0], "Right before, right for a while after, not at the end."),
        ([1, 0, 0, 1], "Right before, right again by iteration 4 after it and from then on."),
        ([0, 0, 1, 1], "Not right before, right by iteration 2 after it and from then on."),
        ([1, 1, 1, 1], "Right before, and right from there on."),
        ([1, 1, 0, 1], "Right before, right again by iteration 4 after it and from then on."),
    ],
)
def test_words_say_what_became_of_the_answer(right, words):
    assert outcome([8, 8, 10, 12], [bool(r) for r in right], 1) == words


@pytest.mark.parametrize(
    "value",
    [
        *(None, 3, "x", [], [None], [{}], [{"test_task": "maze"}], [{"test_difficulty": "nine"}]),
        [{"test_task": "maze", "test_difficulty": 10**400}],
    ],
)
def test_records_of_another_kind_leave_the_section_out_and_the_page_whole(copy, value):
    rewrite(copy, lambda result: result.update(inside=value, recovery=value))
    page = render(load_records(copy))
    assert "Probes of the network's internals</h3>" not in page
    assert "<h3>Recovery</h3>" not in page


@pytest.mark.parametrize(
    "name",
    ["grid", "rest", "components", "receptive", "filters", "limits", "solved", "periods", "n"],
)
@pytest.mark.parametrize(
    "value", [None, "x", [1], {"median": [1], "path": 3, "curve": [None] * 21}]
)
def test_a_part_that_cannot_be_read_costs_that_part_alone(copy, name, value):
    rewrite(copy, lambda result: [entry.update({name: value}) for entry in result["inside"]])
    assert "Probes of the network's internals</h3>" in render(load_records(copy))


def test_problems_at_rest_and_others_are_told_apart(copy):
    solved = {"fixed point": 3, "cycle": 0, "settling": 0, "drift": 1}
    ended = {"fixed point": 3, "cycle": 1, "settling": 0, "drift": 2}
    rewrite(copy, lambda r: [e.update(limits=ended, solved=solved) for e in r["inside"]])
    page = render(load_records(copy)).replace("\N{NO-BREAK SPACE}", " ")
    assert "75.0 % of 8 at rest, 50.0 % of 4 others" in page


def test_runs_that_stored_unlike_parts_are_averaged_over_what_they_share(copy):
    path = next(p for p in sorted((copy / "runs").glob("*dt_net*/result.json")))
    result = json.loads(path.read_text())
    for entry in result["inside"]:
        entry["components"]["explained"] = [0.9, 0.1]
        entry["grid"] = entry["grid"][:-1]
        for name in ("rest", "step"):
            entry[name] = {part: values[:-1] for part, values in entry[name].items()}
    path.write_text(json.dumps(result))
    assert "80.0 + 15.0\N{NO-BREAK SPACE}%" in render(load_records(copy))
    line = figures(copy)["inside-rest"].panels[0].lines[0]
    assert line.x == STEPS[:-1]
    assert line.seeds == [2] * 5


@pytest.mark.parametrize("content", [b"", b"x" * 40])
def test_pictures_that_cannot_be_read_are_named(copy, content):
    for path in (copy / "runs").glob("*/inside.safetensors"):
        path.write_bytes(content)
    page = render(load_records(copy))
    assert "inside.safetensors could not be read" in page
    assert 'class="reuse"' not in page


def test_frames_that_do_not_fit_are_named_and_no_pictures_file_is_needed(copy):
    for path in (copy / "runs").glob("*/examples.safetensors"):
        tensors = load_file(path)
        tensors["13.blow.end.iterations"] = np.array([1, 2])
        save_file(tensors, path, {"dense": "true", "spatial_dims": "2", "iterations": "16"})
    assert "frames after perturbations could not be read" in render(load_records(copy))
    for path in (copy / "runs").glob("*/*.safetensors"):
        path.unlink()
    assert "Probes of the network's internals</h3>" in render(load_records(copy))


def test_another_tasks_records_are_not_shown_for_it(copy):
    def change(result):
        for entry in [*result["inside"], *result["recovery"]]:
            entry["test_task"] = "prefix_sums"

    rewrite(copy, change)
    page = render(load_records(copy))
    assert "Probes of the network's internals</h3>" not in page
    assert "<h3>Recovery</h3>" not in page


def test_every_perturbation_has_a_title():
    from comparisons.probes.perturbations import AFRESH, OF_STATES, SWAP
    from tasks import task_class, task_names

    offered = {name for task in task_names() for name in task_class(task).perturbations}
    afresh = {f"{name}{AFRESH}" for name in offered}
    assert set(PERTURBATIONS) == {*OF_STATES, SWAP, *offered, *afresh}


@pytest.mark.browser
def test_a_perturbation_is_marked_on_the_slider_and_said(browser, probed):
    open_page(browser, build_report(probed), 1280)
    ask = browser.execute_script
    scrub = """const f = document.querySelector('.film[data-event="the end moved"]');
        const s = f.querySelector('input');
        s.value = arguments[0]; s.dispatchEvent(new Event('input'));
        const mark = f.querySelector('.track .event').getBoundingClientRect();
        const box = s.getBoundingClientRect(), player = f.querySelector('.player');
        return [f.querySelector('output').textContent, player.classList.contains('after'),
                (mark.left + 1 - box.left - 8) / (box.width - 16)];"""
    said = [ask(scrub, i) for i in (3, 4, 6)]
    assert [s[0] for s in said] == [
        "after 8 iterations",
        "after 8 iterations, 0 after the end moved",
        "after 10 iterations, 2 after the end moved",
    ]
    assert [s[1] for s in said] == [False, True, True]
    # Between the last frame before the perturbation and the first after it.
    assert 3 / 7 < said[0][2] < 4 / 7
    assert ask("return document.querySelectorAll('.film:not([data-perturbed]) .event').length") == 0
    time.sleep(0.1)
    assert browser.get_log("browser") == []
