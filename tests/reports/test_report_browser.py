"""The page in a real browser: nothing leaves it, and everything on it works."""

from __future__ import annotations

import json
import time

import pytest
from browsing import draw_all, open_page
from made_records import rewrite

from reports import build_report

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_screen_and_logs_no_error(browser, study, width):
    open_page(browser, build_report(study), width)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    assert browser.get_log("browser") == []
    asked = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    urls = [
        m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"
    ]
    assert urls
    assert all(url.startswith(("file:", "data:", "blob:")) for url in urls)


_SHOWN = """
const index = arguments[0];
const live = [...document.querySelectorAll('.live')].flatMap((d) => d.data)
  .filter((t) => t.meta === index && t.visible !== false).length;
const rest = [...document.querySelectorAll(`[data-series="${index}"]`)]
  .filter((e) => getComputedStyle(e).display !== 'none').length;
return [live, rest];
"""


def test_one_toggle_hides_a_paradigm_everywhere_and_brings_it_back(browser, study):
    open_page(browser, build_report(study), 1280)
    before = browser.execute_script(_SHOWN, 0)
    other = browser.execute_script(_SHOWN, 1)
    assert min(*before, *other) > 0
    browser.execute_script("document.querySelector('[data-toggle=\"0\"]').click()")
    assert browser.execute_script(_SHOWN, 0) == [0, 0]
    assert browser.execute_script(_SHOWN, 1) == other
    browser.execute_script("document.querySelector('[data-toggle=\"0\"]').click()")
    assert browser.execute_script(_SHOWN, 0) == before


def test_a_figure_drawn_after_a_paradigm_was_hidden_leaves_it_out(browser, study):
    open_page(browser, build_report(study), 1280, draw=False)
    browser.execute_script("document.querySelector('[data-toggle=\"1\"]').click()")
    draw_all(browser)
    assert browser.execute_script(_SHOWN, 1) == [0, 0]


_UNTICK = """
new MutationObserver((_, watch) => {
  const box = document.querySelector('[data-toggle="1"]');
  if (box) { box.checked = false; watch.disconnect(); }
}).observe(document, {childList: true, subtree: true});
"""


def test_a_box_unticked_while_the_page_loads_hides_its_paradigm(browser, study):
    command = "Page.addScriptToEvaluateOnNewDocument"
    script = browser.execute_cdp_cmd(command, {"source": _UNTICK})
    try:
        open_page(browser, build_report(study), 1280)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert browser.execute_script(_SHOWN, 1) == [0, 0]


def test_runs_are_sorted_by_number_and_filtered_by_words(browser, study):
    open_page(browser, build_report(study), 1280, draw=False)
    column = browser.execute_script(
        "return [...document.querySelectorAll('#runs-table thead th')]"
        ".findIndex((h) => h.textContent.startsWith('parameters'))"
    )
    click = f"document.querySelectorAll('#runs-table thead button')[{column}].click();"
    read = (
        "return [...document.querySelectorAll('#runs-table tbody tr')].filter((r) => !r.hidden)"
        f".map((r) => Number(r.cells[{column}].dataset.v))"
    )
    up = browser.execute_script(click + read)
    down = browser.execute_script(click + read)
    assert len(up) == 32
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert len(set(up)) > 1
    typed = "const f = document.getElementById('filter'); f.value = 'PREFIX resnet18';"
    typed += "f.dispatchEvent(new Event('input'));"
    kept = browser.execute_script(typed + read)
    assert kept == [119697.0] * 4
    assert browser.execute_script("return document.getElementById('shown').textContent").startswith(
        "4 of 32"
    )


def test_hostile_names_run_nothing_in_a_browser(browser, small):
    bad = "</script><img src=x onerror=alert(1)><b>"
    rewrite(small, lambda t: t.assign(task=bad, label=bad + t["label"], difficulty_name=bad))
    open_page(browser, build_report(small), 1280)
    assert browser.get_log("browser") == []
    made = "return document.querySelectorAll('img[src=x], svg b, .live a').length"
    assert browser.execute_script(made) == 0


def test_printing_shows_the_static_pictures(browser, small):
    open_page(browser, build_report(small), 1280)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    look = (
        "return [...document.querySelectorAll(arguments[0])].map((e) =>"
        " getComputedStyle(e).display)"
    )
    assert set(browser.execute_script(look, "svg.static")) == {"block"}
    assert set(browser.execute_script(look, ".live")) == {"none"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_an_answer_can_be_scrubbed_through_and_played(browser, small):
    open_page(browser, build_report(small), 1280, draw=False)
    ask = browser.execute_script
    count = ask("return document.querySelectorAll('.film').length")
    assert count == ask("return document.querySelectorAll('.film .player').length") > 0
    scrub = """const f = document.querySelector('.film'), s = f.querySelector('input');
        s.value = arguments[0]; s.dispatchEvent(new Event('input'));
        const p = f.querySelector('.player'), box = p.getBoundingClientRect();
        return [getComputedStyle(p).backgroundPositionX, f.querySelector('output').textContent,
                box.width, box.height];"""
    places = [ask(scrub, i) for i in range(5)]
    assert [p[0] for p in places] == ["0%", "25%", "50%", "75%", "100%"]
    assert [p[1] for p in places][:2] == ["after 1 iteration", "after 2 iterations"]
    assert all(p[2] > 50 and p[3] > 5 for p in places)
    button = browser.find_element("css selector", ".film button")
    ask("arguments[0].click()", button)
    assert button.get_attribute("textContent") == "Stop"
    deadline = time.monotonic() + 20
    while button.get_attribute("textContent") != "Play":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ask("return document.querySelector('.film input').value") == "4"
