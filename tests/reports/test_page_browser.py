"""The page as one moves about it: contents, folded parts, and an address that can be given on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from browsing import open_page, wait_for
from made_records import TASKS

from reports import build_report
from reports.page import page as page_module

pytestmark = pytest.mark.browser

_TOP = "return document.getElementById(arguments[0]).getBoundingClientRect().top"


@pytest.mark.parametrize("width", [390, 1280, 1700])
def test_the_contents_lead_to_every_section_below_what_is_sticky(browser, study, width):
    open_page(browser, build_report(study), width)
    places = browser.execute_script(
        "return [...document.querySelectorAll('#contents a')].map((a) => a.hash.slice(1))"
    )
    sections = browser.execute_script(
        "return [...document.querySelectorAll('main > section')].map((s) => s.id)"
    )
    assert places[:2] == ["answer", "map"]
    assert places[-2:] == ["command", "cite"]
    assert [s for s in sections if s in places] == places
    opened = browser.execute_script("return document.querySelector('#contents details').open")
    assert opened == (width > 720)
    sticky = browser.execute_script(
        "return document.getElementById('toggles').getBoundingClientRect().height"
    )
    for place in places[:4]:
        browser.execute_script("location.hash = arguments[0]", place)
        browser.execute_async_script("setTimeout(arguments[0], 50)")
        assert browser.execute_script(_TOP, place) >= sticky - 1


def test_a_folded_part_opens_where_a_link_points_into_it(browser, study, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_OPEN", 0)
    open_page(browser, build_report(study), 1280)
    open_parts = "return document.querySelectorAll('details.part[open]').length"
    assert browser.execute_script(open_parts) == 0
    folded = browser.execute_script("return document.documentElement.scrollHeight")
    browser.execute_script("document.querySelector('#map caption a').click()")
    browser.execute_async_script("setTimeout(arguments[0], 50)")
    assert browser.execute_script(open_parts) == 1
    assert browser.execute_script("return document.documentElement.scrollHeight") > folded


def test_what_is_shown_stays_in_the_address(browser, study):
    page = build_report(study)
    open_page(browser, page, 1280)
    browser.execute_script("document.querySelector('[data-toggle=\"0\"]').click()")
    browser.execute_script(
        "const f = document.getElementById('filter'); f.value = 'maze';"
        " f.dispatchEvent(new Event('input'))"
    )
    address = browser.execute_script("return location.href")
    assert "hide=" in address
    assert "runs=maze" in address
    browser.get("about:blank")
    browser.get(address)
    wait_for(browser)
    state = "return [document.querySelector('[data-toggle=\"0\"]').checked, filter.value]"
    assert browser.execute_script(state) == [False, "maze"]
    browser.execute_script("document.querySelector('[data-all=\"1\"]').click()")
    assert "hide=" not in browser.execute_script("return location.href")


def test_the_map_colours_what_is_decided(browser, study):
    open_page(browser, build_report(study), 1280)
    colours = browser.execute_script(
        "return [...document.querySelectorAll('#map td .ahead')].map((a) =>"
        " [a.className.trim(), a.textContent, getComputedStyle(a).backgroundColor])"
    )
    assert {name for name, _, _ in colours} >= {"ahead recurrent"}
    plain = {colour for name, _, colour in colours if name == "ahead"}
    tinted = {colour for name, _, colour in colours if name != "ahead"}
    assert not plain & tinted
    for name, text, _ in colours:
        if name == "ahead recurrent":
            assert text.startswith("+")
        if name == "ahead feed-forward":
            assert text.startswith("\N{MINUS SIGN}")


def test_several_studies_have_a_section_each(study, tmp_path):
    out = Path(shutil.copytree(study, tmp_path / "studies"))
    table = pd.read_parquet(out / "results.parquet")
    of = {name: sorted(set(table.loc[table["task"] == name, "run_id"])) for name in TASKS}
    networks = ("dt_net_recall", "narrow_resnet18")
    few = table[(table["task"] == "maze") & table["paradigm"].isin(networks)]
    of["maze"] = sorted(set(few["run_id"]))
    entry = {"summary": "what", "preset": "quick", "command": "", "runs": 8, "complete": 8}
    studies = [
        {"study": f"of-{name}", **entry, "claims": [], "run_ids": runs} for name, runs in of.items()
    ]
    (out / "verdicts.json").write_text(json.dumps({"schema": 1, "studies": studies}))
    page = build_report(out).read_text()
    contents = re.findall(r'<li[^>]*><a href="#t\d+">([^<]+)</a></li>', page)
    assert contents == ["of-maze: maze", "of-prefix_sums: prefix_sums", "maze"]
    sections = re.findall(
        r'<section id="(t\d+)" class="task"[^>]*>(.*?)</section>', page, re.DOTALL
    )
    tables = [re.search('aria-label="Accuracy.*?</table>', text, re.DOTALL) for _, text in sections]
    assert [table[0].count('<th scope="row">') for table in tables] == [2, 4, 2]
    rows = re.findall(r'<th scope="row"><a href="#(t\d+)">', page)
    assert rows == ["t0", "t1"], "a row a task, which leads to the first study of it"
