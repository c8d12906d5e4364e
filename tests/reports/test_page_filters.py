"""One task or one study of those on a page, kept in its address."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from browsing import open_page, wait_for
from selenium.webdriver.common.keys import Keys

from reports import build_report

pytestmark = pytest.mark.browser

STUDIES = ("of mazes", "of sums")
#: What is shown of each kind of part, as texts.
_SEEN = """
const seen = (query) => [...document.querySelectorAll(query)].filter((e) => !e.closest('[hidden]'));
const text = (query) => seen(query).map((e) => e.textContent.trim());
return {rows: text('table.summary tbody th'), sections: seen('section.task').map((s) => s.id),
  panels: text('#overview h4'), maps: text('.map caption'),
  claims: text('.ledger tbody td:first-child'),
  contents: text('#contents li').filter((t) => /maze|sums/.test(t)), search: location.search,
  runs: seen('#runs-table tbody tr:not(.more)').map((r) => r.cells[1].textContent),
  said: document.getElementById('shown').textContent,
  open: document.querySelectorAll('section.task:not([hidden]) > details.part[open]').length};
"""
_PICK = """
const one = document.querySelector(`[data-filter=${arguments[0]}]`);
one.value = [...one.options].find((o) => o.text === arguments[1]).value;
one.dispatchEvent(new Event('change', {bubbles: true}));
"""
#: Back or on, once the page has answered.
_GO = (
    "addEventListener('popstate', () => setTimeout(arguments[1], 0), {once: true});"
    "history.go(arguments[0])"
)


@pytest.fixture(scope="module")
def page(study):
    return build_report(study)


@pytest.fixture(scope="module")
def of_studies(study, tmp_path_factory):
    """A page of two studies with a claim each, and of runs of neither."""
    out = Path(shutil.copytree(study, tmp_path_factory.mktemp("studies") / "out"))
    table = pd.read_parquet(out / "results.parquet")
    of = {"of mazes": "maze", "of sums": "prefix_sums"}
    entry = {"summary": "what", "preset": "quick", "command": "", "runs": 8, "complete": 8}
    claim = {
        "source": "a paper",
        "scale": "",
        "rule": "r",
        "verdict": "inconclusive",
        "numbers": [],
    }
    studies = []
    for name, task in of.items():
        runs = table.loc[(table["task"] == task) & (table["seed"] == 0), "run_id"]
        claims = [{**claim, "id": name.replace(" ", "-"), "text": f"The claim {name}"}]
        studies.append({"study": name, **entry, "claims": claims, "run_ids": sorted(set(runs))})
    (out / "verdicts.json").write_text(json.dumps({"schema": 1, "studies": studies}))
    return build_report(out)


def test_a_task_alone_is_shown_everywhere_and_in_the_address(browser, page):
    open_page(browser, page, 1280)
    whole = browser.execute_script(_SEEN)
    assert len(whole["rows"]) == len(whole["sections"]) == len(whole["panels"]) == 2
    browser.execute_script(_PICK, "task", "prefix_sums")
    seen = browser.execute_script(_SEEN)
    assert seen["rows"] == seen["panels"] == seen["maps"] == seen["contents"] == ["prefix_sums"]
    assert seen["sections"] == ["t1"]
    assert set(seen["runs"]) == {"prefix_sums"}
    assert seen["said"].startswith("8 of 16")
    assert seen["search"] == "?task=prefix_sums"
    # Beside the other filters, and in an address that is given on.
    browser.execute_script("document.querySelector('[data-toggle=\"0\"]').click()")
    address = browser.execute_script("return location.href")
    browser.get("about:blank")
    browser.get(address)
    wait_for(browser)
    again = browser.execute_script(_SEEN)
    assert again["rows"] == ["prefix_sums"]
    assert again["said"].startswith("6 of 16")
    # Back, step by step, and on again.
    browser.execute_script(_PICK, "task", "maze")
    browser.execute_script(_PICK, "task", "all tasks")
    assert len(browser.execute_script(_SEEN)["rows"]) == 2
    for step, rows in ((-1, ["maze"]), (-1, ["prefix_sums"]), (1, ["maze"])):
        browser.execute_async_script(_GO, step)
        assert browser.execute_script(_SEEN)["rows"] == rows
    assert not browser.execute_script(
        "return document.querySelector('[data-toggle=\"0\"]').checked"
    )


def test_a_study_alone_is_shown_with_its_claims_and_runs(browser, of_studies):
    open_page(browser, of_studies, 1280)
    whole = browser.execute_script(_SEEN)
    assert len(whole["sections"]) == 4
    browser.execute_script(_PICK, "study", "of sums")
    seen = browser.execute_script(_SEEN)
    assert len(seen["sections"]) == 1
    assert [c.startswith("The claim of sums") for c in seen["claims"]] == [True]
    assert set(seen["runs"]) == {"prefix_sums"}
    assert len(seen["rows"]) == 2, "the answer over all studies stands"
    browser.execute_script(_PICK, "task", "maze")
    seen = browser.execute_script(_SEEN)
    assert seen["sections"] == seen["runs"] == []
    assert seen["search"] == "?task=maze&study=of+sums"


def test_filters_are_reached_and_set_with_the_keyboard(browser, page):
    open_page(browser, page, 390)
    body = browser.find_element("css selector", "body")
    body.send_keys(Keys.TAB)
    focus = browser.switch_to.active_element
    assert focus.get_attribute("data-filter") == "task"
    focus.send_keys(Keys.ARROW_DOWN)
    assert browser.execute_script(_SEEN)["rows"] == ["maze"]
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
