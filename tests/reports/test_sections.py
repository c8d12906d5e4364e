"""Which runs stand together in the report: trained difficulties, tests of one network, and what
made it."""

from __future__ import annotations

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_records import make_records, page_of, rewrite, said, sections_of, table_of

from comparisons.studies.evidence import made_by
from foundations.records.labels import labels
from foundations.records.made import Made
from foundations.records.result import Result
from foundations.records.spec import RunSpec
from reports.figures.catalogue import figures_of, section_figures
from reports.figures.styles import Style
from reports.narrative.answer import answer
from reports.page.runs import configurations, runs_table
from reports.read.load import load_records
from reports.read.sections import sections


def edit(path: Path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def copied(out: Path, runs: list[str], ending: str, change, spec=None, result=None) -> list[str]:
    """Copies of runs under names with an ending, their rows changed by `change`, their files by the
    fields given."""
    table = table_of(out)
    rows = table[table["run_id"].isin(runs)]
    rows = change(rows.assign(run_id=rows["run_id"] + ending))
    pd.concat([table, rows], ignore_index=True).to_parquet(out / "results.parquet", index=False)
    for run in runs:
        folder = shutil.copytree(out / "runs" / run, out / "runs" / (run + ending))
        edit(folder / "spec.json", **(spec or {}))
        edit(folder / "result.json", run_id=run + ending, **(result or {}))
    return [run + ending for run in runs]


def runs_of(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "runs").iterdir())


def trained_on_another(out: Path, difficulty: int = 13) -> list[str]:
    """The same runs, trained on another difficulty, with the labels that comparisons give them."""
    before = table_of(out)["train_difficulty"].iloc[0]
    rewrite(out, lambda t: t.assign(label=t["label"] + f" trained on size {before}"))
    for run in runs_of(out):
        edit(out / "runs" / run / "spec.json", train_difficulty=int(before))
    return copied(
        out,
        runs_of(out),
        f"-on{difficulty}",
        lambda t: t.assign(
            train_difficulty=difficulty,
            label=t["label"].str.replace(f"on size {before}", f"on size {difficulty}"),
            accuracy=t["accuracy"] * 0.9,
            ci_low=np.nan,
            ci_high=np.nan,
        ),
        {"train_difficulty": difficulty},
    )


def another_test(out: Path, runs: list[str], **how) -> list[str]:
    """Another test of the same networks, on sizes 29 and 201. n_test, share: what it measured
    there."""
    n_test, share = how.get("n_test", 500), how.get("share", 0.25)

    def far(rows):
        hard = rows[rows["test_difficulty"].isin([21, 29])]
        hard = hard.assign(n_test=n_test, accuracy=share, ci_low=np.nan, ci_high=np.nan)
        new = hard["test_difficulty"].replace(21, 201)
        return hard.assign(test_difficulty=new, difficulty_label=new.astype(str))

    for run in runs:
        edit(out / "runs" / run / "spec.json", evaluation={"difficulties": [9, 13, 17, 21, 29]})
    taken = {"trained_as": runs[0]} if how.get("taken", True) else {}
    return copied(out, runs, "-again", far, {"evaluation": {"difficulties": [29, 201]}}, taken)


class Ids(HTMLParser):
    """All ids of a page, and where its inner links go."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids, self.links = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.ids += [facts["id"]] if "id" in facts else []
        self.links += [facts["href"][1:]] if facts.get("href", "").startswith("#") else []


# A section a trained difficulty.


def test_each_trained_difficulty_has_a_section_of_its_own(small):
    alone = sections_of(small)[0]
    trained_on_another(small)
    nine, thirteen = sections_of(small)
    assert [nine.name, thirteen.name] == ["maze (trained on size 9)", "maze (trained on size 13)"]
    assert (nine.train_difficulties, thirteen.train_difficulties) == ([9], [13])
    # The same names in both, so that a network has one colour and one switch.
    assert nine.series == thirteen.series == ["dt_net_recall", "narrow_resnet18"]
    assert list(nine.best["mean"]) == pytest.approx(list(alone.best["mean"]))
    assert list(thirteen.best["mean"]) == pytest.approx(list(alone.best["mean"] * 0.9))


@pytest.mark.parametrize("form", ["trained on size ", "trained on="])
def test_the_difficulty_that_a_section_names_is_in_no_name_of_a_network(small, form):
    """As labels are today, and as they are in tables of version 0.1."""
    specs = [RunSpec("maze", "dt_net_recall", level, 100) for level in (9, 13)]
    given = set(labels(specs, {"maze": "size"}).values())
    assert given == {"dt_net_recall trained on size 9", "dt_net_recall trained on size 13"}
    trained_on_another(small)
    assert given <= set(table_of(small)["label"])
    rewrite(
        small,
        lambda t: t.assign(label=t["label"].str.replace("trained on size ", form, regex=False)),
    )
    for section in sections_of(small):
        assert section.series == ["dt_net_recall", "narrow_resnet18"]


def test_nothing_is_said_as_in_training_of_a_size_not_trained_on(small):
    trained_on_another(small)
    nine, thirteen = sections_of(small)
    assert "size 13, as in training" not in " ".join(answer(nine))
    assert "size 9, as in training" not in " ".join(answer(thirteen))


def test_one_trained_difficulty_needs_no_word_in_a_heading(small):
    assert [s.name for s in sections_of(small)] == ["maze"]


def test_trained_difficulties_go_by_the_words_of_their_task_or_by_number(small):
    trained_on_another(small)
    words = {9: "short", 13: "long"}
    rewrite(small, lambda t: t.assign(difficulty_label=t["test_difficulty"].map(words).fillna("x")))
    assert sections_of(small)[1].name == "maze (trained on size long)"
    rewrite(small, lambda t: t[t["test_difficulty"] == 9])
    assert sections_of(small)[1].name == "maze (trained on size 13)"


def test_sections_of_one_task_stand_together_the_easiest_trained_first(tmp_path):
    out = make_records(tmp_path, paradigms=("dt_net",), seeds=(0,), samples=(1000,), metrics=10)
    maze = [r for r in runs_of(out) if r.startswith("maze")]
    copied(out, maze, "-on5", lambda t: t.assign(train_difficulty=5), {"train_difficulty": 5})
    assert [s.name for s in sections_of(out)] == [
        "maze (trained on size 5)",
        "maze (trained on size 9)",
        "prefix_sums",
    ]


def test_options_and_trained_difficulty_are_both_named(small):
    trained_on_another(small)
    for run in runs_of(small):
        loops = 0.5 if run.endswith("-on13") or "resnet" in run else 0.1
        edit(small / "runs" / run / "spec.json", task_options={"loops": loops})
    assert [s.name for s in sections_of(small)] == [
        "maze (loops=0.1)",
        "maze (loops=0.5, trained on size 9)",
        "maze (loops=0.5, trained on size 13)",
    ]


@pytest.mark.parametrize(
    ("others", "names"),
    [
        # What all have goes without saying, and so does what one kind lacks.
        ({"canvas": 32, "border": 1}, ["maze", "maze (ties=redrawn)"]),
        ({}, ["maze (default options)", "maze (ties=redrawn)"]),
    ],
)
def test_options_are_named_in_which_runs_of_a_task_differ(small, others, names):
    for run in runs_of(small):
        own = {"ties": "redrawn"} if "resnet" in run else {}
        edit(small / "runs" / run / "spec.json", task_options={**others, **own})
    assert [s.name for s in sections_of(small)] == names


def test_what_was_tested_on_another_task_is_split_by_training_too(small):
    trained_on_another(small)
    rewrite(
        small,
        lambda t: pd.concat([t, t.assign(test_task="pathfinder")]).fillna({"test_task": "maze"}),
    )
    found = sections_of(small)
    assert [s.name for s in found][2:] == [
        "maze (trained on size 9) tested on pathfinder",
        "maze (trained on size 13) tested on pathfinder",
    ]
    assert found[2].train_difficulties == []


def test_sections_of_one_task_clash_in_no_id_and_all_are_linked(tmp_path):
    out = make_records(tmp_path / "out", ("maze",), seeds=(0,), metrics=20)
    trained_on_another(out)
    page = page_of(out)
    found = Ids(page)
    assert len(found.ids) == len(set(found.ids))
    assert {"t0", "t1"} <= set(found.links) <= set(found.ids)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings.count("maze (trained on size 9)") == 1
    assert headings.count("maze (trained on size 13)") == 1
    names = figures_of(load_records(out))
    assert {"maze_trained_on_size_9-difficulty", "maze_trained_on_size_13-difficulty"} <= set(names)


def test_a_task_without_degrees_of_difficulty_has_one_plain_section(small):
    plain = {"test_difficulty": 1, "difficulty_label": "1", "difficulty_name": "difficulty"}
    rewrite(
        small,
        lambda t: t[t["test_difficulty"] == 9].assign(train_difficulty=1, **plain),
    )
    (section,) = sections_of(small)
    assert (section.name, section.only) == ("maze", True)


# A network tested more than once.


@pytest.mark.parametrize("taken", [True, False])
def test_a_network_tested_twice_is_one_series_with_all_difficulties(small, taken):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    another_test(small, [run], taken=taken)
    (section,) = sections_of(small)
    assert section.series == ["dt_net_recall", "narrow_resnet18"]
    assert section.difficulties == [9, 13, 17, 21, 29, 201]
    assert (section.best["seeds"] == 1).all()
    assert section.cell("dt_net_recall", 201).mean == 0.25
    assert "The exit rule matters" not in said(small)


@pytest.mark.parametrize(("n_test", "second"), [(500, False), (1000, True), (2000, True)])
def test_of_two_tests_the_one_of_more_problems_counts_then_the_newer(small, n_test, second):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    first = sections_of(small)[0].cell("dt_net_recall", 29)
    (again,) = another_test(small, [run], n_test=n_test, taken=False)
    os.utime(small / "runs" / run / "result.json", (1000, 1000))
    os.utime(small / "runs" / again / "result.json", (2000, 2000))
    cell = sections_of(small)[0].cell("dt_net_recall", 29)
    assert cell.seeds == 1
    assert cell.mean == (0.25 if second else first.mean)
    assert cell.n_test == max(n_test, 1000)


def test_two_tests_of_each_seed_are_two_seeds_and_not_four(tmp_path):
    out = make_records(tmp_path, ("maze",), ("dt_net_recall",), (0, 1), (1000,), metrics=10)
    another_test(out, runs_of(out), taken=False)
    (section,) = sections_of(out)
    assert set(section.best["seeds"]) == {2}
    assert "2 networks were tested more than once" in page_of(out)


def test_every_test_stays_in_the_table_of_runs_and_says_whose_network_it_is(small):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    (again,) = another_test(small, [run])
    records = load_records(small)
    assert set(records.tested["run_id"]) == set(runs_of(small))
    assert again not in set(records.rows["run_id"])
    page = page_of(small)
    assert page.count(f"the network of <code>{run}</code>") == 1
    assert "3 runs, 1 seed" in page


def test_each_run_is_listed_at_the_hardest_difficulty_that_it_was_tested_on(small):
    recalling, other = sorted(runs_of(small))
    another_test(small, [recalling], share=0.25)
    records = load_records(small)
    styles = {name: Style(i) for i, name in enumerate(records.rows["series"].unique())}
    listed = {r["id"]: r for r in runs_table(records, sections(records.rows), styles)}
    table = table_of(small)
    last = table[(table["exit_rule"] == "fixed") & (table["test_difficulty"] == 29)]
    last = last.sort_values("iterations").drop_duplicates("run_id", keep="last")
    stored = last.set_index("run_id")["accuracy"]
    assert listed[f"{recalling}-again"]["hardest"] == 0.25
    for run in (recalling, other):
        assert listed[run]["hardest"] == pytest.approx(stored[run])


def test_a_network_that_was_tested_twice_is_one_seed_of_its_configuration(small):
    runs = [r for r in runs_of(small) if "recall" in r]
    another_test(small, runs)
    records = load_records(small)
    styles = {name: Style(i) for i, name in enumerate(records.rows["series"].unique())}
    shown = sections_of(small)
    rows = {row["series"]: row for row in configurations(records, shown, styles)}
    (row,) = [row for row in rows.values() if len(row["runs"]) == 2 * len(runs)]
    assert row["seeds"] == len(runs)
    assert row["hardest"] == 0.25, "on 201, not its mean with size 29"
    alone = {run["id"]: run["trained"] for run in row["runs"]}
    assert row["trained"] == pytest.approx(alone[runs[0]])
    assert row["dots"]["hardest"].count("h0") == len(runs)


def test_pictures_come_once_and_from_the_test_that_holds_them(small):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    before = page_of(small).count('class="examples" data-series')
    another_test(small, [run])
    assert page_of(small).count('class="examples" data-series') == before
    (small / "runs" / run / "examples.safetensors").unlink()
    assert page_of(small).count('class="examples" data-series') == before


def test_what_two_tests_stored_is_taken_once_from_each_place(small):
    (run,) = [r for r in runs_of(small) if "recall" in r]

    def exits(place, at):
        where = {"test_task": "maze", "test_difficulty": place, "exit_rule": "agreement"}
        return {**where, "iterations": [at], "problems": [9]}

    (again,) = another_test(small, [run])
    edit(small / "runs" / run / "result.json", exits=[exits(9, 3), exits(29, 4)])
    edit(small / "runs" / again / "result.json", exits=[exits(29, 7), exits(201, 8), "odd"])
    held = load_records(small).runs[run].stored("exits")
    assert [(e["test_difficulty"], e["iterations"], e["tested_by"]) for e in held] == [
        (9, [3], run),
        (29, [4], run),
        (201, [8], again),
    ]


def test_networks_that_are_not_the_same_are_not_taken_for_one(small):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    (again,) = another_test(small, [run], taken=False)
    edit(small / "runs" / again / "spec.json", train={"steps": 2000})
    (section,) = sections_of(small)
    assert section.series == [
        "dt_net_recall (steps=1000)",
        "narrow_resnet18",
        "dt_net_recall (steps=2000)",
    ]


@pytest.mark.parametrize(("patience", "networks"), [(0, 1), (3, 2)])
def test_problems_that_choose_the_weights_are_part_of_the_training(small, patience, networks):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    (again,) = another_test(small, [run], taken=False)
    for name, seed in ((run, 0), (again, 1)):
        tests = {"difficulties": [29], "seed": seed}
        training = {"steps": 1000, "patience": patience}
        edit(small / "runs" / name / "spec.json", evaluation=tests, train=training)
    series = sections_of(small)[0].series
    assert len(series) == networks + 1
    assert ("dt_net_recall (evaluation.seed=1)" in series) is (networks == 2)


# What made it.

UNLIKE = [
    ({"precision": "fp32"}, ["bf16", "fp32"]),
    ({"device": "NVIDIA H100"}, ["on cpu", "on NVIDIA H100"]),
    ({"version": "0.1.0"}, ["version 0.2.0", "version 0.1.0"]),
    ({"version": None}, ["version 0.2.0", "version unknown"]),
    (
        {"precision": "fp32", "device": "NVIDIA H100"},
        ["bf16, on cpu", "fp32, on NVIDIA H100"],
    ),
]


@pytest.fixture
def seeds(tmp_path):
    """Three seeds of two networks, made alike."""
    names = ("dt_net_recall", "dt_net")
    out = make_records(tmp_path / "out", ("maze",), names, (0, 1, 2), (1000,), metrics=10)
    for run in runs_of(out):
        edit(out / "runs" / run / "result.json", version="0.2.0")
    return out


def remade(out: Path, run: str, change: dict) -> None:
    edit(out / "runs" / run / "result.json", **change)
    columns = {k: v for k, v in change.items() if k != "version"}

    def remake(table):
        for column, value in columns.items():
            table.loc[table["run_id"] == run, column] = value
        return table

    rewrite(out, remake)


@pytest.mark.parametrize(("change", "words"), UNLIKE)
def test_runs_made_in_unlike_ways_are_drawn_apart_by_what_differs(seeds, change, words):
    alike = sections_of(seeds)[0].series
    assert alike == ["dt_net_recall", "dt_net"]
    assert "separate series" not in page_of(seeds)
    remade(seeds, "maze-dt_net-1000-s2", change)
    (section,) = sections_of(seeds)
    assert section.series == ["dt_net_recall", *(f"dt_net ({word})" for word in words)]
    counted = section.best.groupby("series")["seeds"].max().to_dict()
    assert counted == dict(zip(section.series, (3, 2, 1), strict=True))
    line = f"dt_net on maze ({words[0]}: seeds 0, 1; {words[1]}: seed 2)"
    assert line in page_of(seeds)


def test_one_seed_made_twice_in_unlike_ways_is_two_series_and_not_one_network(seeds):
    rows = table_of(seeds)
    mine = [r for r in runs_of(seeds) if "dt_net-" in r]
    for run in mine:
        copied(
            seeds, [run], "-gpu", lambda t: t.assign(precision="fp32"), None, {"precision": "fp32"}
        )
    (section,) = sections_of(seeds)
    assert section.series == ["dt_net_recall", "dt_net (bf16)", "dt_net (fp32)"]
    assert set(section.best["seeds"]) == {3}
    assert len(load_records(seeds).rows) == len(rows) + (rows["paradigm"] == "dt_net").sum()


def test_a_run_without_a_number_sets_nothing_apart(seeds):
    lost = "maze-dt_net-1000-s2"
    remade(seeds, lost, {"precision": "fp32"})
    rewrite(
        seeds,
        lambda t: t.assign(
            accuracy=t["accuracy"].where(t["run_id"] != lost),
            status=t["status"].where(t["run_id"] != lost, "diverged"),
        ),
    )
    (section,) = sections_of(seeds)
    assert section.series == ["dt_net_recall", "dt_net"]


def test_a_kind_of_machine_is_its_model_in_the_report_and_in_verdicts():
    slow, fast = (f"Intel(R) Xeon(R) Gold 6230 CPU @ {clock}GHz" for clock in ("2.10", "2.50"))
    made = Made.of("bf16", slow, "0.2.0")
    assert made == Made.of("bf16", fast, "0.2.0")
    assert str(made) == "bf16 on Intel Xeon Gold 6230 by version 0.2.0"
    assert made_by(Result.from_dict({})) == "unknown on unknown by version unknown"


# Figures that would compare nothing.


def test_sample_efficiency_is_drawn_only_where_a_series_has_two_sizes(tmp_path):
    names = ("dt_net_recall", "dt_net")
    out = make_records(tmp_path, ("maze",), names, (0,), (1000, 10000), metrics=10)
    assert sections_of(out)[0].compares_samples
    small = out / "runs"
    gone = {"maze-dt_net_recall-1000-s0", "maze-dt_net-10000-s0"}
    for run in gone:
        shutil.rmtree(small / run)
    rewrite(out, lambda t: t[~t["run_id"].isin(gone)])
    records = load_records(out)
    (section,) = sections(records.rows)
    assert not section.compares_samples
    assert section.sizes == [1000, 10000]
    assert "samples" not in section_figures(section, records.runs, "f")
    page = page_of(out)
    assert "No network was trained on two training-set sizes or more" in page
    assert "One training-set size was run" not in page


def test_a_figure_of_one_point_is_left_out_with_a_line(tmp_path):
    one = make_records(tmp_path / "one", ("maze",), ("dt_net",), (0, 1), (1000,), metrics=10)
    two = make_records(tmp_path / "two", ("maze",), ("dt_net", "dt_net_recall"), (0,), (1000,))
    for out, drawn in ((one, False), (two, True)):
        records = load_records(out)
        made = section_figures(sections(records.rows)[0], records.runs, "f")
        assert ("compute" in made) is ("parameters" in made) is drawn
        assert ("accuracy by cost has no figure" in page_of(out)) is not drawn


def test_costs_are_compared_where_networks_were_measured_together(small):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    another_test(small, [run], share=0.9)
    records = load_records(small)
    made = section_figures(sections(records.rows)[0], records.runs, "f")
    places = [panel.title for panel in made["parameters"].panels]
    assert places[0] == "size 9"
    assert "size 201" not in places
    assert all(len(panel.lines) == 2 for panel in made["compute"].panels)


def test_missing_pictures_are_told_unless_none_were_asked_for(small):
    (run,) = [r for r in runs_of(small) if "recall" in r]
    (small / "runs" / run / "examples.safetensors").unlink()
    (note,) = [n for n in load_records(small).notes if "pictures" in n]
    assert note == f"No pictures of problems (examples.safetensors) from {run}."
    path = small / "runs" / run / "spec.json"
    spec = json.loads(path.read_text())
    path.write_text(json.dumps({**spec, "evaluation": {"pictures": 0}}))
    assert not any("pictures" in note for note in load_records(small).notes)
