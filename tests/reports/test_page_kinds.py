"""Pages of every kind of folder in a browser: two tasks, a single run, failures, nothing."""

from __future__ import annotations

import base64

import pdf_text
import pytest
from browsing import open_page
from made_records import make_failures, make_nothing, make_records
from selenium.webdriver.common.keys import Keys

from reports import build_report

pytestmark = pytest.mark.browser

KINDS = {
    "two tasks": lambda out: make_records(
        out, ("pathfinder", "maze"), ("dt_net_recall", "narrow_resnet18"), (0, 1), (1000, 10000),
        metrics=20,
    ),
    "single": lambda out: make_records(
        out, ("maze",), ("dt_net_recall",), (0,), (1000,), metrics=20
    ),
    "failures": make_failures,
    "nothing": make_nothing,
}  # fmt: skip
#: What the first screen says.
FIRST = {
    "two tasks": "at path length 14",
    "single": "Only one of recurrence and feed-forward depth was run",
    "failures": "No answer yet: no run has an accuracy (2 diverged).",
    "nothing": "No answer yet: no run has an accuracy (1 not begun).",
}
#: Levels of the headings one after the other; figures, pictures and controls without a name; ids
#: that links miss; and the ids of a page that are there twice.
_ORDER = """
const by = (e) => document.getElementById(e.getAttribute('aria-labelledby')) ?? e.labels?.[0];
const name = (e) => ['aria-label', 'alt'].map((key) => e.getAttribute(key)).find(Boolean)
  || e.textContent.trim() || by(e)?.textContent;
const shown = (query) => [...document.querySelectorAll(query)];
const ids = shown('[id]').map((e) => e.id);
const links = shown('a[href^="#"]').map((a) => a.hash.slice(1));
return {levels: shown('h1,h2,h3,h4,h5').map((h) => +h.tagName[1]),
  unnamed: shown('svg[role=img],img,figure,[role=region],button,select,input,[role=img]')
    .filter((e) => !name(e)).map((e) => e.outerHTML.slice(0, 200)),
  lost: links.filter((id) => !ids.includes(decodeURIComponent(id))),
  twice: ids.filter((id, i) => ids.indexOf(id) !== i)};
"""
#: Follows each link of the page; how far above what is sticky each lands.
_LINKS = """
const done = arguments[0], all = [...document.querySelectorAll('a[href^="#"]')];
const links = [...new Set(all.map((a) => a.hash))];
const sticky = document.getElementById('toggles')?.offsetHeight ?? 0, above = [];
(async () => {
  for (const hash of links) {
    location.hash = hash;
    await new Promise((next) => setTimeout(next, 20));
    const place = document.getElementById(decodeURIComponent(hash.slice(1)));
    const { top } = place.getBoundingClientRect();
    if (top < sticky - 1 || top > innerHeight) above.push([hash, top]);
  }
  done(above);
})();
"""
#: What can be seen of a text without scrolling.
_FIRST = """
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT);
let text = '';
for (let e = walk.nextNode(); e; e = walk.nextNode()) {
  const box = e.getBoundingClientRect();
  if (!e.closest('script') && box.width && box.bottom <= innerHeight) text += ' ' + e.innerText;
}
return text.replace(/\\s+/g, ' ');
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds")
    return {kind: build_report(make(root / kind)) for kind, make in KINDS.items()}


def colours(browser, scheme, media=""):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"media": media, "features": [feature] if scheme else []}
    )


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_any_folder_is_in_order(browser, pages, kind, width):
    colours(browser, "dark" if width == 390 else "light")
    try:
        open_page(browser, pages[kind], width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        first = browser.execute_script(_FIRST)
        assert FIRST[kind] in first.replace("\N{NO-BREAK SPACE}", " ")
        assert ("accelerate launch compare.py" in first) == (kind in ("failures", "nothing"))
        browser.execute_script(
            "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
        )
        found = browser.execute_script(_ORDER)
        assert found["levels"][0] == 1
        steps = zip(found["levels"], found["levels"][1:], strict=False)
        assert all(after - before <= 1 for before, after in steps), found["levels"]
        assert (found["unnamed"], found["lost"], found["twice"]) == ([], [], [])
        assert browser.execute_async_script(_LINKS) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.get_log("browser") == []
    finally:
        colours(browser, "")


def test_a_page_is_read_with_the_keyboard_alone(browser, pages):
    open_page(browser, pages["failures"], 1280)
    browser.find_element("css selector", "body").send_keys(Keys.TAB)
    reached = []
    for _ in range(120):
        one = browser.switch_to.active_element
        if one.tag_name == "body":
            break
        box = one.rect
        assert box["width"] > 0
        assert box["height"] > 0
        reached.append(one.tag_name)
        one.send_keys(Keys.TAB)
    wanted = browser.execute_script(
        "return [...document.querySelectorAll('a,button,input,summary,select')]"
        ".filter((e) => e.checkVisibility()).length"
    )
    assert sum(tag in ("a", "button", "input", "summary", "select") for tag in reached) == wanted


def printed(browser, **options):
    found = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, **options})
    return base64.b64decode(found["data"])


def test_a_page_is_printed_whole(browser, pages):
    open_page(browser, pages["two tasks"], 1280)
    text = pdf_text.text(printed(browser))
    for said in ("When does recurrence beat depth", "Accuracy by path length", "Reproduce", "Cite"):
        assert said.replace(" ", "") in text
    assert "SVGPNG" not in text, "what is pressed is left out"


@pytest.mark.parametrize(
    ("figure", "width", "scheme"), [("overview", 1280, "dark"), ("t1-compute", 390, "light")]
)
def test_a_figure_is_printed_alone(browser, pages, figure, width, scheme):
    colours(browser, scheme)
    try:
        open_page(browser, pages["two tasks"], width)
        title = browser.execute_script(
            "window.print = () => {}; const f = document.getElementById(arguments[0]);"
            "[...f.querySelectorAll('.take button')].find((b) => b.textContent === 'PDF').click();"
            "return [':scope > :is(h3,h4)', '.panel :is(h4,h5)']"
            ".map((query) => f.querySelector(query).textContent).join('')",
            figure,
        )
        data = printed(browser)
        said = pdf_text.text(data)
        assert pdf_text.pages(data) == 1
        assert said.startswith("".join(title.split()))
        assert {"dt_net_recall", "narrow_resnet18"} <= set(_words(said)), "names of the lines"
        assert "Reproduce" not in said
        ((wide, high),) = pdf_text.sizes(data)
        assert 500 < wide < 1000
        assert 200 < high < 500
        # And nothing of it is left on the page.
        left = "return [document.getElementById('alone'), document.documentElement.className]"
        assert browser.execute_script(left) == [None, "js"]
    finally:
        colours(browser, "")


def _words(said):
    return [name for name in ("dt_net_recall", "narrow_resnet18") if name in said]


def test_names_of_lines_stand_where_there_is_room_and_go_with_their_lines(browser, pages):
    seen = (
        "return [...document.querySelectorAll('#overview text.named')]"
        ".filter((e) => e.getClientRects().length)"
        ".map((e) => [e.textContent, e.getBoundingClientRect().right])"
    )
    open_page(browser, pages["two tasks"], 390)
    assert browser.execute_script(seen) == []
    open_page(browser, pages["two tasks"], 1280)
    names = browser.execute_script(seen)
    assert [name for name, _ in names] == ["dt_net_recall", "narrow_resnet18"] * 2
    assert all(right <= 1280 for _, right in names)
    browser.execute_script("document.querySelector('[data-toggle=\"0\"]').click()")
    assert [name for name, _ in browser.execute_script(seen)] == ["narrow_resnet18"] * 2
