#!/usr/bin/env python3
"""Looks at pages of kiln in Chromium, as a person would, and clicks through them.

    tests/browser/look.py --into PICTURES PAGE.html...

Needs Debian's packages chromium and chromium-driver; without them it fails. The end-to-end tests run it in a container with
both and without a network (tests/it/browser.rs). What it holds of each page:

- nothing is asked of a network or read from a file but the page itself, and the console is silent;
- every text is readable on what is behind it (4.5 to 1, as WCAG 2 counts), in the light and in the dark;
- nothing is wider than a window of 1280, 800 or 400 points;
- headings follow each other in depth, tables have names and heads, whatever can be used has a name and shows when it has the
  focus, and the focus goes through the page from its beginning to its end;
- tables sort by every column, up and down; filters leave the rows that match, and say how many;
- every link leads somewhere, areas of maps to their rows or pages; what is folded unfolds, and prints unfolded;
- without scripts the same is there to be read, and nothing is offered that needs them.

Pictures of each page are left behind: wide, narrow, on a phone, dark, printed, and without scripts.
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

PORT = 9519
WIDTHS = {"wide": 1280, "narrow": 800, "phone": 400}
# Where Debian's script of this name ends up; it needs neither a shell nor the files that the script reads.
CHROMIUM = pathlib.Path("/usr/lib/chromium/chromium")
LEAST_CONTRAST = 4.5
# How much of a page is in a picture, from its top.
HIGHEST = 3000
# How many places the focus is followed through; a row of a table is like the one before.
MOST_FOCUSED = 120
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Wrong(Exception):
    """Something does not hold of a page."""


class Browser:
    """A session of WebDriver."""

    def __init__(self, scripts=True):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
        # What a browser does on its own account is not the page's.
        arguments += ["--no-first-run", "--disable-component-update", "--disable-background-networking", "--disable-sync"]
        options = {"args": arguments, "perfLoggingPrefs": {"enableNetwork": True}}
        if CHROMIUM.is_file():
            options["binary"] = str(CHROMIUM)
        if not scripts:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
        answer = call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{answer['sessionId']}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        call("DELETE", self.session)

    def open(self, page, width=1280, **media):
        """Opens a page in a window of this width, under media features such as `prefers_color_scheme="dark"`."""
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self.protocol("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.protocol("Emulation.setEmulatedMedia", features=features)
        call("POST", f"{self.session}/url", {"url": page.resolve().as_uri()})

    def protocol(self, command, **parameters):
        return call("POST", f"{self.session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *arguments):
        return call("POST", f"{self.session}/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, css):
        found = call("POST", f"{self.session}/elements", {"using": "css selector", "value": css})
        return [next(iter(element.values())) for element in found]

    def click(self, element):
        call("POST", f"{self.session}/element/{element}/click", {})

    def type(self, element, text):
        call("POST", f"{self.session}/element/{element}/value", {"text": text})

    def text(self, element):
        return call("GET", f"{self.session}/element/{element}/text")

    def address(self):
        return call("GET", f"{self.session}/url")

    def said(self):
        """What is in the console since it was asked last."""
        return [entry["message"] for entry in call("POST", f"{self.session}/se/log", {"type": "browser"})]

    def asked_for(self):
        """The addresses that were asked for since it was asked last."""
        log = call("POST", f"{self.session}/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in log]
        sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [address for address in sent if not address.startswith(("chrome", "devtools", "data:,"))]

    def picture(self, file):
        """More of the page than a window shows, and no more than a browser without a graphics card can draw."""
        width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        part = {"x": 0, "y": 0, "width": width, "height": min(height, HIGHEST), "scale": 1}
        answer = self.protocol("Page.captureScreenshot", captureBeyondViewport=True, clip=part)
        file.write_bytes(base64.b64decode(answer["data"]))

    def print(self, file):
        file.write_bytes(base64.b64decode(call("POST", f"{self.session}/print", {"background": True})))


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise Wrong(f"{method} {path}: {error.read().decode(errors='replace')[:2000]}") from error


def holds(page, what, is_so, seen=""):
    if not is_so:
        raise Wrong(f"it does not hold that {what}: {seen}")
    print(f"{page.name}: {what}", flush=True)


# Of every text that is seen: what it is and how far its colour is from what is behind it, where that is too little.
CONTRAST = """
const parse = (text) => {
  const m = text.match(/^rgba?\\(([^)]*)\\)$/);
  if (!m) throw new Error('a colour that is not known: ' + text);
  const [r, g, b, a = 1] = m[1].split(/[ ,\\/]+/).map(Number);
  return [r, g, b, a];
};
const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3])).concat(1);
const luminance = (c) => {
  const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const opacity = (e) => { let o = 1; for (; e; e = e.parentElement) o *= Number(getComputedStyle(e).opacity); return o; };
const behind = (e) => {
  const area = e.namespaceURI.endsWith('svg') && e.parentElement.querySelector(':scope > rect');
  if (area && e.closest('.map')) return parse(getComputedStyle(area).fill);
  const layers = [];
  for (; e; e = e.parentElement) {
    const layer = parse(getComputedStyle(e).backgroundColor);
    layers.push(layer);
    if (layer[3] === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
};
const bad = []; let count = 0;
const judge = (e, text, style) => {
  const back = behind(e);
  const ink = parse(e.namespaceURI.endsWith('svg') ? style.fill : style.color);
  ink[3] *= opacity(e) * (style.content && style.content !== 'none' && style.content !== 'normal' ? Number(style.opacity) : 1);
  const [a, b] = [luminance(over(ink, back)), luminance(back)];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  count += 1;
  if (ratio < arguments[0]) bad.push(`${ratio.toFixed(2)} ${e.tagName}.${e.getAttribute('class') || ''} ${text.slice(0, 40)}`);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || ['SCRIPT', 'STYLE', 'title'].includes(e.tagName)) continue;
  if (!e.checkVisibility({opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true})) continue;
  judge(e, walker.currentNode.data.trim(), getComputedStyle(e));
  const after = getComputedStyle(e, '::after');
  if (after.content !== 'none' && after.content !== 'normal') judge(e, 'after ' + after.content, after);
}
return [count, bad];
"""

# What is wrong with the structure that assistive technology reads.
STRUCTURE = """
const wrong = [];
let last = 0;
for (const h of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
  const level = Number(h.tagName[1]);
  if (level > last + 1) wrong.push(`${h.tagName} ${h.textContent} follows h${last}`);
  last = level;
}
if (document.querySelectorAll('h1').length !== 1) wrong.push('there is not one h1');
if (!document.documentElement.lang) wrong.push('no language');
for (const t of document.querySelectorAll('table')) {
  if (!t.getAttribute('aria-label') && !t.caption) wrong.push('a table without a name');
  for (const h of t.querySelectorAll('th')) if (!h.scope) wrong.push(`th ${h.textContent} without a scope`);
  for (const h of t.querySelectorAll('thead th')) if (!h.textContent.trim()) wrong.push('an empty head of a column');
  for (const r of t.tBodies[0].rows) if (!r.querySelector('th')) { wrong.push(`a row without a head in ${t.getAttribute('aria-label')}: ${r.textContent}`); break; }
  const width = t.querySelector('thead tr')?.cells.length;
  for (const r of t.tBodies[0].rows) if (width && r.cells.length !== width) { wrong.push(`a row of ${r.cells.length} of ${width} cells`); break; }
}
for (const s of document.querySelectorAll('section')) if (!s.hasAttribute('aria-labelledby')) wrong.push('a section without a label');
for (const s of document.querySelectorAll('svg')) if (!s.hasAttribute('aria-label') && s.getAttribute('aria-hidden') !== 'true') wrong.push('a picture without a name');
const navs = [...document.querySelectorAll('nav')].map((n) => n.getAttribute('aria-label'));
if (new Set(navs).size !== navs.length) wrong.push('two navigations of one name');
return wrong;
"""

USED = {"link", "button", "textbox", "searchbox", "combobox", "checkbox", "DisclosureTriangle", "table", "img", "image", "region", "navigation"}


def can_be_read(browser, page):
    for scheme in ["light", "dark"]:
        browser.open(page, prefers_color_scheme=scheme)
        browser.run("for (const e of document.querySelectorAll('details')) e.open = true")
        count, bad = browser.run(CONTRAST, LEAST_CONTRAST)
        is_dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches")
        holds(page, f"it is {scheme} where that is wanted", is_dark == (scheme == "dark"))
        holds(page, f"{count} texts are readable in the {scheme}", count > 20 and not bad, bad[:10])
    browser.open(page)
    wrong = browser.run(STRUCTURE)
    holds(page, "headings, tables and sections are what they say", not wrong, wrong[:10])
    browser.protocol("Accessibility.enable")
    nodes = browser.protocol("Accessibility.getFullAXTree")["nodes"]
    used = [node for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in USED]
    nameless = [node["role"]["value"] for node in used if not node.get("name", {}).get("value", "").strip()]
    holds(page, f"{len(used)} things that can be used or are pictures have names", used and not nameless, nameless[:10])
    browser.open(page, prefers_reduced_motion="reduce")
    moving = browser.run("return document.getAnimations().length + [...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e); return parseFloat(s.transitionDuration) || s.animationName !== 'none' || s.scrollBehavior === 'smooth'; }).length")
    holds(page, "nothing moves where that is not wanted", moving == 0)


# What has the focus: its place among all elements, and whether that is seen.
FOCUSED = """
const e = document.activeElement;
if (!e || e === document.body) return null;
const shape = e.tagName === 'a' ? e.querySelector('rect') : e;
const style = getComputedStyle(e), of = getComputedStyle(shape);
const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 || e !== shape && parseFloat(of.strokeWidth) >= 3;
const box = e.getBoundingClientRect();
return [[...document.querySelectorAll('*')].indexOf(e), seen, e.outerHTML.slice(0, 120), box.bottom > 0 && box.top < innerHeight];
"""


def focus_goes_through(browser, page):
    browser.open(page)
    before, count = -1, 0
    while count < MOST_FOCUSED:
        browser.protocol("Input.dispatchKeyEvent", type="rawKeyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        focused = browser.run(FOCUSED)
        if focused is None:
            break
        place, seen, what, is_in_view = focused
        # What scrolls takes the focus, too, and is before what is in it. After the last the first has its turn again.
        if place <= before:
            break
        if not seen or not is_in_view:
            raise Wrong(f"the focus is not seen on {what}")
        before, count = place, count + 1
    last = browser.run("const all = [...document.querySelectorAll('*')]; const used = [...document.querySelectorAll('a, button, input, summary')].filter(e => e.checkVisibility({contentVisibilityAuto: true})); return used.length ? all.indexOf(used[used.length - 1]) : -1")
    holds(page, f"the focus goes through {count} places in order, and is seen", count and (count == MOST_FOCUSED or before >= last), [before, last])


TABLE = "return document.querySelectorAll('table.sortable')[arguments[0]]"
UNFOLDED = "for (let e = arguments[0]; e; e = e.parentElement) if (e.tagName === 'DETAILS') e.open = true"
# After a click on a head, be it one of the script: what the column has now, how it is said to be sorted, and whether it is.
SORTED = """
const [table, column, head, clicks] = arguments;
if (clicks) head.click();
const th = head.closest('th'), state = th.getAttribute('aria-sort'), down = state === 'descending' ? -1 : 1;
const rows = [...table.tBodies[0].rows].filter(r => !r.hidden);
const values = rows.map(r => r.cells[column].dataset.value ?? r.cells[column].textContent.trim());
const order = th.classList.contains('number') ? (a, b) => a - b : (a, b) => a.localeCompare(b, undefined, {numeric: true});
return [values.slice(0, 10), state, values.every((v, i) => i === 0 || down * order(v, values[i - 1]) >= 0)];
"""


def sorts_and_filters(browser, page):
    browser.open(page)
    tables = browser.find("table.sortable")
    holds(page, "it has tables", tables)
    for number in range(len(tables)):
        table = browser.run(TABLE, number)
        columns = browser.run("return arguments[0].tHead.rows[0].cells.length", table)
        for column in range(columns):
            head = browser.run("return arguments[0].tHead.rows[0].cells[arguments[1]].querySelector('button')", table, column)
            if head is None:
                raise Wrong(f"its script did not run")
            # One column is clicked as a person would; what is folded together cannot be, and is unfolded first.
            by_hand = number == column == 0
            if by_hand:
                browser.run(UNFOLDED, head)
            directions = []
            for _ in range(2):
                if by_hand:
                    browser.click(next(iter(head.values())))
                values, state, is_sorted = browser.run(SORTED, table, column, head, not by_hand)
                if not is_sorted:
                    raise Wrong(f"column {column} of table {number} is not {state}: {values}")
                directions.append(state)
            if sorted(map(str, directions)) != ["ascending", "descending"]:
                raise Wrong(f"column {column} sorts {directions}")
    holds(page, f"{len(tables)} tables sort by every column, up and down", True)
    fields = browser.find(".filter input")
    for field in fields:
        element = {ELEMENT: field}
        browser.run(UNFOLDED, element)
        rows = "const t = arguments[0].closest('.filter').nextElementSibling.querySelector('table'); return [...t.tBodies[0].rows].map(r => [r.hidden, r.textContent])"
        word = browser.run("return arguments[0].closest('.filter').nextElementSibling.querySelector('tbody tr').cells[0].textContent.trim().split('\\n')[0]", element)
        browser.type(field, word)
        after = browser.run(rows, element)
        if any(hidden == (word.lower() in text.lower()) for hidden, text in after):
            raise Wrong(f"the filter `{word}` leaves the wrong rows")
        shown = sum(not hidden for hidden, _ in after)
        said = browser.run("return arguments[0].closest('.filter').querySelector('[role=status]').textContent", element)
        if said != f"{shown} of {len(after)}":
            raise Wrong(f"the filter `{word}` says {said!r} of {shown} rows of {len(after)}")
        browser.type(field, "\ue003" * len(word))
        if any(hidden for hidden, _ in browser.run(rows, element)):
            raise Wrong(f"an empty filter hides rows")
    holds(page, f"{len(fields)} filters leave the rows that match", True)


def links_lead_somewhere(browser, page):
    browser.open(page)
    broken = browser.run(
        "return [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href')).filter(h => !document.getElementById(h.slice(1)))"
    )
    holds(page, "every link within it leads somewhere", not broken, broken)
    for link in browser.find("nav a[href^='#']")[:12]:
        browser.click(link)
        top = browser.run("return document.querySelector(':target').getBoundingClientRect().top")
        at_end = browser.run("return innerHeight + scrollY >= document.documentElement.scrollHeight - 2")
        if not (-5 <= top < 200 or at_end):
            raise Wrong(f"a link of its navigation leads to a place at {top}")
    outward = browser.run("return [...document.querySelectorAll('a:not([href^=\"#\"])')].map(a => a.getAttribute('href'))")
    missing = [href for href in outward if not (page.parent / href).is_file()]
    holds(page, f"{len(outward)} links to other pages lead to pages", not missing, missing)
    areas = browser.find("svg.map a[href^='#']")
    # The largest and the smallest: of the latter hardly anything is seen.
    for area in areas[:1] + areas[-1:]:
        browser.click(area)
        there = browser.run("const e = document.querySelector('tr:target, h2:target'); return e && [e.getBoundingClientRect().top, e.checkVisibility({contentVisibilityAuto: true})]")
        holds(page, "an area of a map leads to its row", there and -5 <= there[0] < 1000 and there[1], there)
    for css in ["svg.map a:not([href^='#'])", "th a:not([href^='#'])"]:
        browser.open(page)
        for link in browser.find(css)[:1]:
            href = browser.run("return arguments[0].getAttribute('href')", {ELEMENT: link})
            browser.click(link)
            holds(page, f"a click leads to {href}", browser.address() == (page.parent / href).resolve().as_uri(), browser.address())
    browser.open(page)
    for folded in browser.run("return [...document.querySelectorAll('details')].slice(0, 20)"):
        browser.run(UNFOLDED, folded)
        summary = browser.run("arguments[0].open = false; return arguments[0].querySelector('summary')", folded)
        browser.click(next(iter(summary.values())))
        if not browser.run("return arguments[0].open", folded):
            raise Wrong(f"something folded does not unfold")
    holds(page, "what is folded unfolds", True)


def pictures(browser, page, into):
    for name, width in WIDTHS.items():
        browser.open(page, width)
        wide = browser.run("return [document.documentElement.scrollWidth, innerWidth, [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .wide')).slice(0, 5).map(e => e.outerHTML.slice(0, 100))]")
        holds(page, f"{width} points are wide enough", wide[0] <= wide[1] == width and not wide[2], wide)
        browser.picture(into / f"{page.stem}-{name}.png")
    browser.open(page, prefers_color_scheme="dark")
    browser.picture(into / f"{page.stem}-dark.png")
    browser.open(page, prefers_color_scheme="dark")
    browser.run("window.unfolded = -1; addEventListener('beforeprint', () => { window.unfolded = [...document.querySelectorAll('details')].filter(e => !e.open).length; })")
    browser.print(into / f"{page.stem}.pdf")
    folded = browser.run("return window.unfolded")
    holds(page, "what is folded prints unfolded", folded == 0, folded)
    again = browser.run("return [...document.querySelectorAll('details')].filter(e => e.open).length")
    holds(page, "what was unfolded to be printed is folded again", again == 0, again)


def looked_at(page, into):
    with Browser() as browser:
        browser.open(page)
        browser.asked_for()
        browser.open(page)
        asked = browser.asked_for()
        holds(page, "nothing is asked for but the page", asked == [page.resolve().as_uri()], asked)
        holds(page, "the console is silent", not (said := browser.said()), said)
        can_be_read(browser, page)
        focus_goes_through(browser, page)
        sorts_and_filters(browser, page)
        links_lead_somewhere(browser, page)
        pictures(browser, page, into)
        said = browser.said()
        holds(page, "the console is still silent", not said, said)
        asked = [address for address in browser.asked_for() if not address.startswith("file:")]
        holds(page, "no click asks a network for anything", not asked, asked)
        browser.open(page)
        summary = [browser.text(element) for element in browser.find(".verdict, .tiles li")]
        text = browser.run("return document.querySelector('main').innerText.length")
    with Browser(scripts=False) as browser:
        browser.open(page)
        holds(page, "without scripts nothing is offered that needs them", not browser.find("th button, .filter"))
        same = [browser.text(element) for element in browser.find(".verdict, .tiles li")]
        holds(page, "without scripts it begins with the same summary", summary and same == summary, same)
        found = len(browser.text(browser.find("main")[0]))
        holds(page, "without scripts it says the same", found > 0.8 * text, [found, text])
        browser.picture(into / f"{page.stem}-without-scripts.png")


def wrong_with(page, into):
    """What is wrong with a page first; nothing, if all holds."""
    try:
        looked_at(page, into)
    except Wrong as wrong:
        return f"{page.name}: {wrong}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=pathlib.Path, required=True)
    parser.add_argument("pages", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    log = arguments.into / "driver.log"
    driver = subprocess.Popen(["/usr/bin/chromedriver", f"--port={PORT}", f"--log-path={log}"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/status", timeout=10).close()
                break
            except OSError:
                time.sleep(0.1)
        wrong = [what for page in arguments.pages if (what := wrong_with(page, arguments.into))]
    finally:
        driver.terminate()
        driver.wait()
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"looked at {len(arguments.pages)} pages")


main()
