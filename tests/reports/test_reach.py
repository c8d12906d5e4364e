"""d50 over the trained difficulty is read off each network's curve, seed by seed."""

from __future__ import annotations

import pytest
from drawn_records import drawn_tasks, one_task, write_drawn
from hypothesis import Phase, given, settings
from made_records import sections_of

from reports.figures.reach import reach, reach_panel


def panel(out, *runs, **facts):
    (section,) = sections_of(write_drawn(out, one_task(*runs, **facts)))
    return reach_panel(section), section


def test_half_solved_between_two_sizes_is_interpolated_on_a_log_axis(tmp_path):
    made, section = panel(tmp_path, ("dt_net", (0.9, 0.1), {}), ("feed_forward", (0.99, 0.9), {}))
    trained, harder = section.difficulties
    by_series = {line.series: line for line in made.lines}
    assert by_series["dt_net"].y[0] == pytest.approx((harder / trained) ** 0.5, rel=1e-3)
    assert by_series["feed_forward"].y[0] == pytest.approx(harder / trained)  # and more
    assert ("y", 1.0, "trained") in made.marks


def test_where_nobody_goes_beyond_training_there_is_no_figure(tmp_path):
    made, section = panel(tmp_path, ("dt_net", (0.4, 0.1), {}), ("feed_forward", (0.3, 0.0), {}))
    assert made is None
    assert reach([section], "reach") is None


@settings(max_examples=20, phases=[Phase.explicit, Phase.generate])
@given(tasks=drawn_tasks(several_trained=True))
def test_values_lie_within_what_was_tested_and_inside_their_intervals(tmp_path_factory, tasks):
    for section in sections_of(write_drawn(tmp_path_factory.mktemp("drawn"), tasks)):
        made = reach_panel(section)
        for line in made.lines if made else ():
            ratios = [d / section.trained[0] for d in section.difficulties]
            for low, y, high in zip(line.low, line.y, line.high, strict=True):
                assert low <= y <= high
                assert min(ratios) - 1e-9 <= y <= max(ratios) + 1e-9
