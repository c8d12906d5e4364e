"""The page in a real browser: nothing leaves it, and everything on it works."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import time
from xml.etree import ElementTree

import pytest
from browsing import open_page
from made_records import rewrite
from PIL import Image

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
const own = (e) => e.dataset.series === String(index) && getComputedStyle(e).display !== 'none';
const all = [...document.querySelectorAll('[data-series]')].filter(own);
const lines = all.filter((e) => e instanceof SVGElement).length;
return [lines, all.length - lines];
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


_POINT = """
const box = document.querySelector(arguments[0]), svg = box.querySelector('svg');
const dot = svg.querySelector(`[data-series="${arguments[1]}"] :is(.dot, .ring)`);
dot.scrollIntoView({block: 'center'});
const place = dot.getBoundingClientRect();
box.dispatchEvent(new PointerEvent('pointermove',
  {clientX: place.x + place.width / 2, clientY: place.y + place.height / 2, bubbles: true}));
return [tip.hidden, tip.innerText];
"""


def test_a_point_says_what_it_is_unless_its_paradigm_is_hidden(browser, study):
    open_page(browser, build_report(study), 1280)
    names = browser.execute_script(
        "return [...document.querySelectorAll('#toggles label')].map((l) => l.innerText.trim())"
    )
    hidden, said = browser.execute_script(_POINT, ".plot", 0)
    assert not hidden
    assert said.splitlines()[0] == names[0]
    assert "%" in said
    browser.execute_script("document.querySelector('[data-toggle=\"0\"]').click()")
    assert browser.execute_script("return tip.hidden"), "what was said of it goes with it"
    hidden, said = browser.execute_script(_POINT, ".plot", 0)
    assert hidden or said.splitlines()[0] != names[0]


def test_points_are_reached_with_the_keyboard(browser, study):
    open_page(browser, build_report(study), 1280)
    press = """
    const box = document.querySelector('.plot');
    box.focus();
    box.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}));
    return tip.hidden ? '' : tip.innerText;
    """
    first = browser.execute_script(press, "ArrowRight")
    second = browser.execute_script(press, "ArrowRight")
    other = browser.execute_script(press, "ArrowDown")
    assert first.splitlines()[0] == second.splitlines()[0]
    assert first != second
    assert other.splitlines()[0] != second.splitlines()[0]
    assert other.splitlines()[1] == second.splitlines()[1], "the nearest of the next line"
    assert browser.execute_script(press, "Escape") == ""


_TABLE = """
const kind = arguments[0], done = arguments[1];
const table = document.querySelector('.task .scroll > table');
const button = [...table.parentElement.nextElementSibling.querySelectorAll('button')]
  .find((b) => b.textContent === kind);
let text = null;
Object.defineProperty(navigator, 'clipboard', {configurable: true,
  value: {writeText: (t) => { text = t; return Promise.resolve(); }}});
button.click();
setTimeout(() => done([text, button.textContent, [...table.tHead.rows[0].cells].length,
  [...table.tBodies[0].rows].filter((r) => !r.hidden).length]), 50);
"""


def test_a_table_is_copied_as_text_for_a_paper(browser, study):
    open_page(browser, build_report(study), 1280)
    browser.execute_script("document.querySelector('[data-toggle=\"0\"]').click()")
    text, said, columns, rows = browser.execute_async_script(_TABLE, "CSV")
    table = list(csv.reader(io.StringIO(text)))
    assert said == "Copied"
    assert [len(row) for row in table] == [columns] * (rows + 1), "the hidden row is left out"
    text, *_ = browser.execute_async_script(_TABLE, "Markdown")
    lines = text.splitlines()
    assert lines[1] == "|" + " --- |" * columns
    assert len(lines) == rows + 2
    text, *_ = browser.execute_async_script(_TABLE, "LaTeX")
    assert text.startswith("\\begin{tabular}{l" + "r" * (columns - 1) + "}")
    body = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [columns - 1] * (rows + 1)
    assert not re.search(r"(?<!\\)[_%#$]", text)


_SAVED = """
const kind = arguments[0], done = arguments[1];
const figure = document.querySelector('figure:has(.take)');
URL.createObjectURL = (blob) => {
  const reader = new FileReader();
  reader.onload = () => done([figure.id, blob.type, reader.result]);
  reader.readAsDataURL(blob);
  return 'about:blank';
};
HTMLAnchorElement.prototype.click = () => {};
[...figure.querySelectorAll('.take button')].find((b) => b.textContent === kind).click();
"""


def test_a_figure_is_saved_as_a_picture_that_stands_for_itself(browser, study):
    open_page(browser, build_report(study), 1280)
    _, kind, url = browser.execute_async_script(_SAVED, "SVG")
    assert kind == "image/svg+xml"
    root = ElementTree.fromstring(base64.b64decode(url.partition(",")[2]))
    inside = ElementTree.tostring(root, encoding="unicode")
    assert "var(" not in inside, "colours are written out"
    assert "class=" not in inside
    names = browser.execute_script(
        "return [...document.querySelectorAll('#toggles label')].map((l) => l.innerText.trim())"
    )
    assert [name for name in names if f">{name}<" in inside] == names, "a legend"
    open_page(browser, build_report(study), 1280)
    _, kind, url = browser.execute_async_script(_SAVED, "PNG")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        assert kind == "image/png"
        assert min(image.size) > 700
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10, "not a blank picture"


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
    open_page(browser, build_report(study), 1280)
    column = browser.execute_script(
        "return [...document.querySelectorAll('#runs-table thead th')]"
        ".findIndex((h) => h.textContent.startsWith('parameters'))"
    )
    click = f"document.querySelectorAll('#runs-table thead button')[{column}].click();"
    read = (
        "return [...document.querySelectorAll('#runs-table tbody tr:not(.more)')]"
        ".filter((r) => !r.hidden)"
        f".map((r) => Number(r.cells[{column}].dataset.v))"
    )
    up = browser.execute_script(click + read)
    down = browser.execute_script(click + read)
    assert len(up) == 16
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert len(set(up)) > 1
    typed = "const f = document.getElementById('filter'); f.value = 'PREFIX resnet18';"
    typed += "f.dispatchEvent(new Event('input'));"
    kept = browser.execute_script(typed + read)
    assert kept == [119697.0] * 2
    assert browser.execute_script("return document.getElementById('shown').textContent").startswith(
        "2 of 16 configurations"
    )


def test_hostile_names_run_nothing_in_a_browser(browser, small):
    bad = "</script><img src=x onerror=alert(1)><b>"
    rewrite(small, lambda t: t.assign(task=bad, label=bad + t["label"], difficulty_name=bad))
    open_page(browser, build_report(small), 1280)
    assert browser.get_log("browser") == []
    made = "return document.querySelectorAll('img[src=x], svg b, #tip a').length"
    assert browser.execute_script(made) == 0


def test_printing_leaves_out_what_is_pressed(browser, small):
    open_page(browser, build_report(small), 1280)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    look = (
        "return [...document.querySelectorAll(arguments[0])].map((e) =>"
        " getComputedStyle(e).display)"
    )
    assert set(browser.execute_script(look, ".plot > svg.static")) == {"block"}
    assert set(browser.execute_script(look, ".take")) == {"none"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_networks_answer_one_problem_side_by_side_under_one_slider(browser, small):
    open_page(browser, build_report(small), 1280)
    ask = browser.execute_script
    films = ask("return document.querySelectorAll('#answer .beside .film').length")
    assert films > 1
    assert ask("return document.querySelectorAll('#answer .beside input').length") == 1
    scrub = """const box = document.querySelector('.beside'), s = box.querySelector('input');
        if (arguments[0] !== null) { s.value = arguments[0]; s.dispatchEvent(new Event('input')); }
        return [s.getAttribute('aria-valuetext'), s.max,
          [...box.querySelectorAll('output')].map((o) => o.textContent),
          [...box.querySelectorAll('.player')].map((p) => p.style.backgroundPositionX)];"""
    words, most, said, places = ask(scrub, None)
    assert words == "2 iterations", "it begins at the first"
    assert said == ["after 2 iterations"] * films
    assert set(places) == {"0%"}
    words, _, said, places = ask(scrub, int(most))
    assert words == "16 iterations"
    assert said == ["after 16 iterations"] * films
    assert set(places) == {"100%"}


def test_an_answer_can_be_scrubbed_through_and_played(browser, small):
    open_page(browser, build_report(small), 1280)
    ask = browser.execute_script
    count = ask("return document.querySelectorAll('.film').length")
    assert count == ask("return document.querySelectorAll('.film .player').length") > 0
    scrub = """const f = document.querySelector('.film:not(.beside .film)');
        const s = f.querySelector('input');
        s.value = arguments[0]; s.dispatchEvent(new Event('input'));
        const p = f.querySelector('.player'), box = p.getBoundingClientRect();
        return [getComputedStyle(p).backgroundPositionX, f.querySelector('output').textContent,
                box.width, box.height];"""
    places = [ask(scrub, i) for i in range(5)]
    assert [p[0] for p in places] == ["0%", "25%", "50%", "75%", "100%"]
    assert [p[1] for p in places][:2] == ["after 1 iteration", "after 2 iterations"]
    assert all(p[2] > 50 and p[3] > 5 for p in places)
    button = browser.find_element("css selector", ".film:not(.beside .film) button")
    ask("arguments[0].click()", button)
    assert button.get_attribute("textContent") == "Stop"
    deadline = time.monotonic() + 20
    while button.get_attribute("textContent") != "Play":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ask("return document.querySelector('.film:not(.beside .film) input').value") == "4"
