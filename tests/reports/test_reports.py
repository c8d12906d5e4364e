"""The report: reading records in any state, saying no more than they show, and a page that
works."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from commands import ROOT
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made_records import make_records, page_of, rewrite, said, sections_of, table_of
from PIL import Image
from safetensors.numpy import save_file

from foundations.measures import aggregate
from foundations.statistics import mean_interval, wilson
from reports import build_report
from reports.__main__ import main as report_main
from reports.figures.catalogue import figures_of, section_figures
from reports.figures.examples import png_uri, read_examples
from reports.figures.paper import export_figures
from reports.figures.styles import Style
from reports.narrative.answer import answer, reach
from reports.page.difference import changes
from reports.page.tables import speed_table
from reports.read.formats import percent
from reports.read.load import NoRecords, load_records
from reports.read.rules import peaks
from reports.read.sections import sections


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data


# Reading.


def test_every_row_of_a_whole_study_is_kept_and_nothing_is_named_as_left_out(study):
    records = load_records(study)
    assert len(records.rows) == len(table_of(study))
    assert records.notes == []
    assert set(records.runs) == set(records.rows["run_id"])


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_without_records_is_refused_in_one_line_with_status_2(tmp_path, exists):
    out = tmp_path / "nothing"
    if exists:
        out.mkdir()
    with pytest.raises(NoRecords):
        build_report(out)
    done = subprocess.run(
        [sys.executable, "-m", "reports", str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(out) in done.stderr
    assert not (out / "report.html").exists()


def test_the_command_prints_where_the_report_is(small):
    done = subprocess.run(
        [sys.executable, "-m", "reports", str(small)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(small / "report.html") in done.stdout
    assert not list(small.glob(".*part"))


def test_the_package_loads_no_torch_and_nothing_heavy_until_a_report_is_built():
    code = (
        "import sys, reports; print([m for m in ('torch', 'pandas', 'plotly') if m in sys.modules])"
    )
    code += "; import reports.page.page; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"], done.stderr


def test_a_metrics_file_cut_off_keeps_its_whole_lines_and_is_named(small):
    run = next((small / "runs").iterdir())
    path = run / "metrics.jsonl"
    before = len(path.read_text().splitlines())
    path.write_text(path.read_text()[:-20])
    records = load_records(small)
    assert len(records.runs[run.name].metrics) == before - 1
    assert any(run.name in note and "1 line" in note for note in records.notes)


def test_a_run_that_was_planned_and_has_no_results_is_named(small):
    study = json.loads((small / "study.json").read_text())
    study["runs"].append("never-begun")
    (small / "study.json").write_text(json.dumps(study))
    begun = small / "runs" / "half-way"
    begun.mkdir()
    (begun / "spec.json").write_text('{"task": "maze", "paradigm": "dt_net", "seed": 5}')
    text = Elements(page_of(small)).text
    assert "Run never-begun was planned and never begun." in text
    assert "Run half-way is not finished." in text


def test_a_diverged_run_is_named_with_its_reason_and_counts_in_no_mean(tmp_path):
    out = make_records(tmp_path, ("maze",), ("dt_net_recall", "dt_net"), (0, 1), (1000,))
    lost = "maze-dt_net_recall-1000-s1"

    def diverge(table):
        gone = table["run_id"] == lost
        first = gone & ~table.duplicated(["run_id", "test_difficulty"])
        table.loc[first, ["accuracy", "ci_low", "ci_high", "element_accuracy"]] = np.nan
        table.loc[first, "n_test"] = 0
        table.loc[first, "status"] = "diverged"
        return table[~gone | first]

    rewrite(out, diverge)
    result = {"status": "diverged", "reason": "loss became NaN at step 70"}
    (out / "runs" / lost / "result.json").write_text(json.dumps(result))
    (section,) = sections_of(out)
    assert section.cell("dt_net_recall", 9).seeds == 1
    assert section.cell("dt_net", 9).seeds == 2
    assert "dt_net_recall: 1 run ended as diverged, excluded from the mean" in said(out)
    assert "loss became NaN at step 70" in Elements(page_of(out)).text


_SPARED = (
    *("exit_rule", "label", "n_test", "ci_low", "chance", "flops_per_example", "train_samples"),
    *("seed", "train_difficulty", "max_iterations", "train_iterations", "difficulty_label"),
    *("parameters", "difficulty_name", "train_seconds", "element_accuracy", "status"),
)


@pytest.mark.parametrize("column", _SPARED)
def test_a_missing_column_still_gives_a_report(small, column):
    rewrite(small, lambda table: table.drop(columns=column))
    assert "The answer" in Elements(page_of(small)).text


@pytest.mark.parametrize("column", ["accuracy", "task", "run_id", "iterations", "test_difficulty"])
def test_a_missing_column_that_is_needed_is_named(small, column):
    rewrite(small, lambda table: table.drop(columns=column))
    assert f"The results have no column {column}." in Elements(page_of(small)).text


# Without shrinking: a page takes long enough that it would last minutes.
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_odd_values_anywhere_still_give_a_report(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("odd")
    make_records(out, ("maze",), ("dt_net_recall", "dt_net"), (0,), (1000,), 6, 2, metrics=3)
    odd = [np.nan, np.inf, -1.0, 0.0, 1e300, "?", None, True]

    def spoil(table):
        for _ in range(data.draw(st.integers(1, 6))):
            column = data.draw(st.sampled_from(list(table.columns)))
            where = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=9))
            table[column] = table[column].astype(object)
            table.loc[where, column] = data.draw(st.sampled_from(odd))
        return table

    table = spoil(table_of(out))
    (out / "results.parquet").unlink()
    table.to_csv(out / "results.csv", index=False)
    text = Elements(page_of(out)).text
    assert "The answer" in text
    assert "nan" not in re.sub(r"\bdominant\b", "", text).lower()


def test_broken_files_still_give_a_report_that_names_them(small):
    (small / "study.json").write_text('{"runs": [')
    run, other = sorted((small / "runs").iterdir())
    (run / "examples.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    (run / "spec.json").write_text("[]")
    (other / "examples.safetensors").unlink()
    (other / "metrics.jsonl").write_bytes(b"\xff\xfe\x00not json\n{}\n[1]\n")
    text = Elements(page_of(small)).text
    for name in ("study.json", f"runs/{run.name}/spec.json", other.name):
        assert name in text
    assert f"runs/{run.name}: examples could not be read" in text


def test_without_the_table_the_rows_of_the_runs_are_used(small):
    table = table_of(small)
    want = [s.best[["series", "mean"]].to_dict() for s in sections_of(small)]
    for run_id, rows in table.groupby("run_id"):
        path = small / "runs" / run_id / "result.json"
        stored = json.loads(path.read_text())
        stored["rows"] = json.loads(rows.to_json(orient="records"))
        path.write_text(json.dumps(stored))
    (small / "results.parquet").unlink()
    got = [s.best[["series", "mean"]].to_dict() for s in sections_of(small)]
    assert got[0]["series"] == want[0]["series"]
    assert list(got[0]["mean"].values()) == pytest.approx(list(want[0]["mean"].values()))


def with_twins(folder):
    """A copy of every run, its rows with it: (run, copy) folders, whose specs are still the
    same."""
    table = table_of(folder)
    twin = table.assign(run_id=table["run_id"] + "-twin")
    pd.concat([table, twin]).to_parquet(folder / "results.parquet", index=False)
    runs = list((folder / "runs").iterdir())
    return [(run, shutil.copytree(run, run.with_name(run.name + "-twin"))) for run in runs]


def respecify(run, **fields):
    spec = json.loads((run / "spec.json").read_text())
    (run / "spec.json").write_text(json.dumps(spec | fields))


def test_runs_that_differ_in_an_option_never_share_a_mean(small):
    for _, copy in with_twins(small):
        respecify(copy, paradigm_options={"width": 64})
    (section,) = sections_of(small)
    assert len(section.series) == 4
    assert any("width=64" in name for name in section.series)
    assert (section.best["seeds"] == 1).all()


# Numbers.


@given(right=st.integers(0, 400), n=st.integers(1, 400))
def test_a_wilson_interval_holds_the_share_and_stays_in_0_to_1(right, n):
    share = min(right, n) / n
    low, high = wilson(share, n)
    assert 0 <= low <= share <= high <= 1
    assert high - low > 0


def test_wilson_agrees_with_a_published_example():
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I: 81 of 263 and 0 of 20.
    low, high = wilson(np.array([81 / 263, 0.0]), np.array([263, 20]))
    assert low == pytest.approx([0.2553, 0.0], abs=5e-5)
    assert high == pytest.approx([0.3662, 0.1611], abs=5e-5)


_SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def _of_seeds(values: list[float], n: int = 500) -> pd.DataFrame:
    frame = pd.DataFrame({"accuracy": values, "n_test": n, "series": "s"})
    frame["run_id"] = [f"r{i}" for i in range(len(values))]
    for column in ("element_accuracy", "ci_low", "ci_high", "parameters", "flops_per_example"):
        frame[column] = np.nan
    for column in ("active_parameters", "train_flops", "train_seconds", "exit_iterations_mean"):
        frame[column] = np.nan
    return frame


@given(values=_SHARES)
def test_the_interval_over_seeds_holds_the_mean_and_is_no_narrower_than_one_runs(values):
    row = aggregate(_of_seeds(values), ["series"]).iloc[0]
    low, high = wilson(row["mean"], 500)
    assert row["mean"] == pytest.approx(np.mean(values))
    assert 0 <= row["low"] <= low + 1e-12
    assert high - 1e-12 <= row["high"] <= 1


def test_the_interval_over_seeds_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth = rng.normal(0.6, 0.05, (1000, 4))
    table = _of_seeds(list((rng.binomial(500, truth) / 500).ravel()))
    table["series"] = np.repeat(np.arange(1000), 4)
    found = aggregate(table, ["series"])
    share = ((found["low"] <= 0.6) & (found["high"] >= 0.6)).mean()
    assert 0.93 <= share <= 0.99  # three standard errors of a share of 1,000 are 0.02


def test_the_interval_over_seeds_adds_what_problems_vary_that_all_seeds_share():
    """Ten seeds; the mean varies with them as much as with the 500 problems."""
    rng = np.random.default_rng(2)
    of_problems = np.sqrt(0.6 * 0.4 / 500)
    problems = rng.normal(0, of_problems, (1000, 1))
    seeds = rng.normal(0, of_problems * np.sqrt(10), (1000, 10))
    table = _of_seeds(list((0.6 + problems + seeds).ravel()))
    table["series"] = np.repeat(np.arange(1000), 10)
    found = aggregate(table, ["series"])
    share = ((found["low"] <= 0.6) & (found["high"] >= 0.6)).mean()
    assert 0.93 <= share <= 0.97


@given(st.lists(_SHARES, min_size=1, max_size=4), st.integers(1, 800))
def test_page_and_ledger_have_one_interval_for_a_mean(groups, n):
    table = pd.concat([_of_seeds(values, n).assign(series=i) for i, values in enumerate(groups)])
    found = aggregate(table, ["series"])
    for values, (_, row) in zip(groups, found.iterrows(), strict=True):
        assert (row["low"], row["high"]) == pytest.approx(mean_interval(values, n), abs=1e-9)


def test_no_blind_rule_ever_beats_the_peak_and_the_peak_is_at_a_recorded_iteration(study):
    for section in sections_of(study):
        fixed = section.main[section.main["exit_rule"] == "fixed"]
        top = peaks(section.main).set_index(["series", "test_difficulty"])["mean"]
        for rule in ("last", "trained"):
            cells = section.ruled[section.ruled["rule"] == rule]
            for _, cell in cells.iterrows():
                assert cell["mean"] <= top[cell["series"], cell["test_difficulty"]] + 1e-12
        assert set(peaks(section.main)["iterations"]) <= set(fixed["iterations"])


def test_the_page_goes_by_the_validated_rule_once_every_run_has_it(small):
    def validated(table, runs):
        fixed = table[(table["exit_rule"] == "fixed") & table["run_id"].isin(runs)]
        ends = fixed.groupby("run_id")["iterations"].transform("max")
        chosen = fixed[fixed["iterations"] == np.minimum(ends, 7)].assign(exit_rule="validated")
        return pd.concat([table, chosen], ignore_index=True)

    runs = list(pd.read_parquet(small / "results.parquet")["run_id"].unique())
    rewrite(small, lambda t: validated(t, runs[1:]))
    assert {s.rule for s in sections_of(small)} == {"last"}
    rewrite(small, lambda t: validated(t, runs[:1]))
    (section,) = sections_of(small)
    assert section.rule == "validated"
    rows = section.main
    at_seven = rows[(rows["exit_rule"] == "fixed") & (rows["iterations"] == 7)]
    expected = at_seven[at_seven["series"] == "dt_net_recall"].set_index("test_difficulty")
    for place, group in expected.groupby(level=0):
        assert section.cell("dt_net_recall", place).mean == group["accuracy"].mean()


def test_the_trained_rule_is_absent_where_that_iteration_was_not_recorded(small):
    rewrite(small, lambda t: t[t["iterations"] != 16])
    (section,) = sections_of(small)
    assert section.cell("dt_net_recall", 9, "trained") is None
    assert section.cell("narrow_resnet18", 9, "trained") is not None
    assert section.cell("dt_net_recall", 9).mean > 0


@given(share=st.floats(0, 1))
def test_a_percentage_is_neither_rounded_up_to_all_nor_down_to_none(share):
    text = percent(share)
    assert text.startswith("100.0") == (share == 1)
    assert text.startswith("0.0") == (share == 0)


# Words.


def test_the_furthest_is_the_one_that_solves_the_hardest(study):
    for section, hardest in zip(sections_of(study), (29, 64), strict=True):
        assert reach(section, "dt_net_recall") == hardest
        assert reach(section, "narrow_resnet18") < hardest
        first = answer(section)[0]
        assert "dt_net_recall extrapolates farthest" in first
        assert "95\N{NO-BREAK SPACE}% interval" in first
        assert re.search(r"; 2 seeds: \d+\.\d, \d+\.\d; 1,000 problems each", first)


def test_what_pruning_left_is_shown_layer_by_layer_and_odd_records_are_not(small):
    results = sorted((small / "runs").glob("*/result.json"))
    for place, path in enumerate(results):
        result = json.loads(path.read_text())
        result |= {"layer_weights": {"first": [10, 40], "<b>last</b>": [0, 20]}}
        result |= {"empty_layers": ["<b>last</b>"], "scoring_seconds": 0.5, "train_seconds": 100.0}
        if place:
            result["layer_weights"] = {"first": [50, 40]} if place % 2 else "none"
        path.write_text(json.dumps(result))
    page = page_of(small)
    assert page.count("Density after pruning") == 1
    assert "&lt;b&gt;last&lt;/b&gt; (0.0" in page
    assert "16.7" in page  # 10 of 60


def test_iterations_needed_are_the_first_that_reach_the_share(small):
    (section,) = sections_of(small)
    (row,) = speed_table(section, {s: Style(i) for i, s in enumerate(section.series)})
    rows = section.main[(section.main["series"] == row["series"])]
    rows = rows[(rows["exit_rule"] == "fixed") & (rows["test_difficulty"] == 9)]
    curve = rows.set_index("iterations")["accuracy"].sort_index()
    for share, cell in zip((0.5, 0.9, 0.99), row["cells"], strict=True):
        assert float(cell) == curve.index[curve >= share * curve.max()][0]


def test_a_gap_in_what_is_solved_ends_the_reach(small):
    rewrite(small, lambda t: t.assign(accuracy=t["accuracy"].where(t["test_difficulty"] != 17, 0)))
    (section,) = sections_of(small)
    assert reach(section, "dt_net_recall") == 13


def test_one_seed_is_said_to_tell_nothing_of_other_seeds(small, study):
    assert "One seed each" in said(small)
    assert "One seed each" not in said(study)
    assert "Fewer than three seeds" in said(study)


def test_overlapping_intervals_are_never_called_better(small):
    level = {"accuracy": 0.9, "ci_low": 0.88, "ci_high": 0.92}
    rewrite(small, lambda t: t.assign(**level))
    text = said(small)
    assert "does better" not in text
    assert "not separated" in text


def test_recurrence_is_called_better_only_where_it_is(small):
    def swap(table):
        recurrent = table["paradigm"] == "dt_net_recall"
        table["accuracy"] = np.where(recurrent, 0.2, 0.9)
        return table.drop(columns=["ci_low", "ci_high"])

    rewrite(small, swap)
    assert "feed-forward depth does better" in said(small)
    assert "recurrence does better" not in said(small)


def test_nothing_is_said_of_extrapolation_where_none_was_tested(tmp_path):
    out = make_records(tmp_path, ("maze",), ("dt_net_recall",), (0,), (1000,), difficulties=1)
    text = said(out)
    assert "nothing can be said about extrapolation" in text
    assert "farthest" not in text
    assert "No network was trained with two training-set sizes" in text


def test_a_task_without_degrees_of_difficulty_is_not_said_to_have_any(small):
    plain = {"test_difficulty": 1, "difficulty_label": "1", "difficulty_name": "difficulty"}

    def level(table):
        return table[table["test_difficulty"] == 9].assign(train_difficulty=1, **plain)

    rewrite(small, level)
    assert "no degrees of difficulty" in said(small)
    assert "its only difficulty, as in training" in said(small)
    words = Elements(page_of(small)).text
    assert "difficulty 1" not in words
    assert "Trained on difficulty" not in words


def test_one_training_set_size_makes_no_curve_and_the_page_says_how_to_get_one(small, study):
    for out, drawn in ((small, False), (study, True)):
        records = load_records(out)
        figures = section_figures(sections(records.rows)[0], records.runs, "t")
        assert ("samples" in figures) is drawn
        assert ("One training-set size was run" in Elements(page_of(out)).text) is not drawn


def test_classes_go_by_the_words_of_their_task(tmp_path):
    path = tmp_path / "examples.safetensors"
    tensors = {
        "1.picture": np.zeros((2, 4, 4, 3), np.uint8),
        "1.targets": np.array([0, 1]),
        "1.predictions": np.array([0, 7]),
        "1.correct": np.array([1, 0], np.uint8),
    }
    shown = {}
    for words in ('["cat", "ship"]', "[]", '{"0": "cat"}'):
        facts = {"dense": "false", "spatial_dims": "2", "iterations": "1", "answers": words}
        save_file(tensors, path, metadata=facts)
        shown[words] = [(e.right_text, e.answer_text) for e in read_examples(path, [1.0])]
    assert shown['["cat", "ship"]'] == [("cat", "cat"), ("ship", "class 7")]
    assert shown["[]"] == shown['{"0": "cat"}'] == [("class 0", "class 0"), ("class 1", "class 7")]


def test_a_network_that_stays_at_chance_is_not_said_to_solve_anything(small):
    half = {"accuracy": 0.51, "ci_low": 0.48, "ci_high": 0.54, "chance": 0.5}
    rewrite(small, lambda t: t.assign(**half))
    text = said(small)
    assert "o network solves at least 75.0 %" in text
    assert "farthest" not in text


def test_the_fewest_samples_are_those_of_the_smallest_training_set_that_passes(tmp_path):
    out = make_records(tmp_path, ("maze",), ("dt_net_recall",), (0,), (100, 1000, 10000))

    def passing_from_1000(table):
        return table.assign(accuracy=np.where(table["train_samples"] >= 1000, 0.95, 0.4))

    rewrite(out, passing_from_1000)
    assert (
        "1,000 training samples are the fewest with which the whole interval reaches 90.0 %"
        in said(out)
    )


# Figures and page.


def test_every_figure_names_its_axes_and_what_it_stands_on(study):
    records = load_records(study)
    for section in sections(records.rows):
        made = section_figures(section, records.runs, "t")
        expected = {"difficulty", "iterations", "samples", "parameters", "compute", "training"}
        assert set(made) == expected
        for name, figure in made.items():
            assert section.name in figure.title + figure.caption
            assert figure.title != figure.caption.partition(". ")[0]  # it says what is seen
            assert figure.panels
            assert all(p.x.label and p.y.label and p.lines for p in figure.panels)
            assert ("means of 2 seeds" in figure.caption.lower()) or name == "training"


def test_the_numbers_behind_a_figure_are_those_of_the_records(study):
    records = load_records(study)
    section = sections(records.rows)[0]
    figure = section_figures(section, records.runs, "t")["difficulty"]
    rows = table_of(study)
    mine = rows[(rows["task"] == "maze") & (rows["train_samples"] == 10000)]
    last = mine[(mine["exit_rule"] == "fixed") & (mine["paradigm"] == "dt_net")]
    last = last[last["iterations"] == last["iterations"].max()]
    want = last.groupby("test_difficulty")["accuracy"].mean()
    (line,) = (n for n in figure.panels[0].lines if n.series == "dt_net")
    assert line.x == list(want.index)
    assert line.y == pytest.approx(list(want))


def test_every_figure_is_exported_for_a_paper_the_same_each_time(small, tmp_path):
    shown = figures_of(load_records(small))
    written = export_figures(load_records(small), tmp_path / "a")
    assert {p.name for p in written} == {f"{n}.{k}" for n in shown for k in ("svg", "pdf", "csv")}
    again = export_figures(load_records(small), tmp_path / "b")
    for one, other in zip(written, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size > 100
    svg = (tmp_path / "a" / "maze-difficulty.svg").read_text()
    assert "dt_net_recall" in svg, "text stays text"
    assert "problems solved entirely (%)" in svg
    for name, figure in shown.items():
        assert (tmp_path / "a" / f"{name}.csv").read_bytes().decode() == figure.csv()


def test_the_page_holds_the_numbers_of_its_figures_the_large_ones_gzipped(study):
    links = re.findall(
        r'<a download="([^"]+)" href="data:([^;]+);[^"]*base64,([^"]+)"', page_of(study)
    )
    held = {}
    for name, kind, text in links:
        data = base64.b64decode(text)
        assert (kind == "application/gzip") == name.endswith(".csv.gz")
        held[name.partition(".")[0]] = gzip.decompress(data) if name.endswith(".gz") else data
    endings = {name.partition(".")[2] for name, _, _ in links}
    assert endings == {"csv", "csv.gz"}
    shown = sorted(figure.csv() for figure in figures_of(load_records(study)).values())
    assert sorted(data.decode() for data in held.values()) == shown


def test_the_command_exports_figures(small, tmp_path, capsys):
    assert report_main([str(small), "--figures", str(tmp_path / "figures")]) == 0
    assert "files in" in capsys.readouterr().out
    assert report_main([str(small), "--figures", str(small / "report.html" / "x")]) == 2


def test_a_folder_does_not_differ_from_itself(study):
    found, alone = changes(load_records(study), load_records(study))
    assert found
    assert not alone
    assert not any(c.beyond_noise for c in found)
    assert all(c.before == c.after for c in found)


def test_what_changed_beyond_noise_is_named_and_what_is_alone_too(small, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(small, other)

    def worse(table):
        mine = table["paradigm"] == "dt_net_recall"
        table.loc[mine, ["accuracy", "ci_low", "ci_high"]] *= 0.5
        hardest = table["test_difficulty"].max()
        return table[
            ~((table["paradigm"] == "narrow_resnet18") & (table["test_difficulty"] == hardest))
        ]

    rewrite(other, worse)
    assert report_main(["compare", str(small), str(other), "--csv", str(tmp_path / "c.csv")]) == 0
    said = capsys.readouterr().out
    assert "dt_net_recall on maze" in said
    assert "only in A: narrow_resnet18 on maze" in said
    table = pd.read_csv(tmp_path / "c.csv")
    assert set(table.loc[table["beyond_noise"], "paradigm"]) == {"dt_net_recall"}
    assert (table["low"] <= table["after"] - table["before"] + 1e-12).all()
    assert report_main(["compare", str(small), str(tmp_path / "nowhere")]) == 2


def test_differences_between_equal_paradigms_leave_0_out_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    inside = 0
    for share in rng.uniform(0.05, 0.95, 400):
        a, b = rng.binomial(500, share, 2) / 500
        (la, lb), (ha, hb) = wilson(np.array([a, b]), np.array([500, 500]))
        d = b - a
        inside += d - np.hypot(b - lb, ha - a) <= 0 <= d + np.hypot(hb - b, a - la)
    assert 0.92 <= inside / 400 <= 0.99


def test_a_log_axis_is_never_given_a_value_it_cannot_show(small):
    rewrite(small, lambda t: t.assign(parameters=0.0, train_flops=0.0))
    records = load_records(small)
    for figure in section_figures(sections(records.rows)[0], records.runs, "t").values():
        for panel in figure.panels:
            assert not panel.x.log or all(x > 0 for line in panel.lines for x in line.x)


def _outside(elements: Elements) -> list[str]:
    """What a browser would fetch from elsewhere, unasked."""
    links = [
        value
        for tag, attrs in elements.tags
        for key, value in attrs.items()
        if key in ("src", "srcset", "data", "poster", "action", "background")
        or (key == "href" and tag != "a")
    ]
    return [link for link in links if not link.startswith("data:")]


def test_the_page_fetches_nothing_and_is_whole(study):
    html = page_of(study)
    elements = Elements(html)
    assert _outside(elements) == []
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert styles
    assert not any("url(" in css or "@import" in css for css in styles)
    ids = [attrs["id"] for _, attrs in elements.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    inner = [a["href"][1:] for t, a in elements.tags if t == "a" and a["href"].startswith("#")]
    assert inner
    assert set(inner) <= set(ids)


def test_without_scripts_the_figures_are_there_as_pictures(study):
    elements = Elements(page_of(study))
    plots = [a for _, a in elements.tags if a.get("class") == "plot"]
    drawn = [
        a for t, a in elements.tags if t == "svg" and a.get("class") in ("static", "static crowded")
    ]
    assert len(drawn) == len(plots) > 10
    assert all(a["aria-label"] for a in drawn)


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 7*7 }}{% raw %}",
    "<!--<script>",
    "<b>bold</b> %{x} $x$ &lt;",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_they_are_and_nothing_else(small, name):
    plain = Elements(page_of(small))
    rewrite(small, lambda t: t.assign(task=name, label=name + t["label"], difficulty_name=name))
    for run in (small / "runs").iterdir():
        result = {"status": name, "reason": name, "command": name}
        (run / "result.json").write_text(json.dumps(result))
        (run / "spec.json").write_text(json.dumps({"task_options": {name: name}}))
    study = json.loads((small / "study.json").read_text())
    (small / "study.json").write_text(json.dumps({**study, "title": name, "command": name}))
    elements = Elements(page_of(small))
    assert {tag for tag, _ in elements.tags} <= {tag for tag, _ in plain.tags} | {"small"}
    assert sum(tag == "script" for tag, _ in elements.tags) == 3
    assert not any(key.startswith("on") for _, attrs in elements.tags for key in attrs)
    assert name in elements.text
    assert _outside(elements) == []


def test_the_page_is_the_same_each_time(small):
    assert page_of(small) == page_of(small)


def test_an_unwritable_page_leaves_the_old_one(small, monkeypatch):
    page = build_report(small)
    before = page.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("foundations.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        build_report(small)
    assert page.read_bytes() == before
    assert list(small.glob(".*part")) == []


def test_a_network_that_ends_is_not_left_out_where_an_exit_rule_is_another(small):
    """It has one answer, whatever the rule: no recurrent network gets farthest for want of
    rivals."""

    def strong(table):
        ends = table["paradigm"] == "narrow_resnet18"
        table.loc[ends, ["accuracy", "ci_low", "ci_high"]] = [0.99, 0.98, 1.0]
        return table

    rewrite(small, strong)
    words = " ".join(s for section in sections_of(small) for s in answer(section))
    assert "The exit rule matters" not in words


@pytest.mark.parametrize("colours", [1, 2, 256, 300])
def test_a_picture_in_the_page_is_the_same_pixel_for_pixel(colours):
    generator = np.random.default_rng(colours)
    palette = generator.integers(0, 256, (colours, 3), dtype=np.uint8)
    pixels = palette[generator.integers(0, colours, (40, 50))]
    data = base64.b64decode(png_uri(pixels).partition(",")[2])
    assert (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) == pixels).all()


def test_the_page_is_written_where_it_is_asked_for_and_what_cannot_be_read_is_said(
    small, tmp_path, capsys
):
    (small / "results.parquet").write_bytes(b"cut")
    (small / "results.csv").unlink(missing_ok=True)
    page = tmp_path / "elsewhere.html"
    assert report_main([str(small), f"--page={page}"]) == 0
    said = capsys.readouterr()
    assert f"Report: {page}" in said.out
    assert "left out: " in said.err
    assert "results.parquet" in said.err
    assert "<!doctype html>" in page.read_text().lower()
    assert not (small / "report.html").exists()
