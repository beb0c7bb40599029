#!/usr/bin/env python3
"""Clicks through pages of `kiln report` and `kiln diff --format html` in Chromium, and takes pictures of them.

    tests/browser/look.py --into PICTURES PAGE.html...

Needs Debian's packages chromium and chromium-driver; without them it fails. What it holds of each page: nothing is loaded
from anywhere, the console is silent (so that no policy was broken), tables sort by text and by number, filters leave the
rows that match, areas of maps lead to rows, what is folded unfolds, every link within the page leads somewhere, and without
scripts the same is there to be read.
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

PORT = 9519
WIDTHS = {"wide": 1280, "narrow": 800, "phone": 420}


class Browser:
    """A session of WebDriver."""

    def __init__(self, scripts=True, dark=False):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options = {"args": arguments + (["--force-dark-mode"] if dark else [])}
        if not scripts:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{answer['sessionId']}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        call("DELETE", self.session)

    def open(self, page, width):
        call("POST", f"{self.session}/window/rect", {"width": width, "height": 1000})
        call("POST", f"{self.session}/url", {"url": page.resolve().as_uri()})

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

    def said(self):
        return call("POST", f"{self.session}/se/log", {"type": "browser"})

    def picture(self, file):
        """All of the page, not only what a window shows."""
        parameters = {"captureBeyondViewport": True}
        answer = call("POST", f"{self.session}/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": parameters})
        file.write_bytes(base64.b64decode(answer["data"]))

    def print(self, file):
        file.write_bytes(base64.b64decode(call("POST", f"{self.session}/print", {"background": True})))


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)["value"]


def holds(page, what, is_so):
    if not is_so:
        sys.exit(f"{page}: it does not hold that {what}")
    print(f"{page.name}: {what}")


COLUMN = "return [...arguments[0].tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[arguments[1]].dataset.value ?? r.cells[arguments[1]].textContent.trim())"
TABLE = "return document.querySelectorAll('table.sortable')[arguments[0]]"


def sorts_and_filters(browser, page):
    tables = browser.find("table.sortable")
    holds(page, "it has tables", tables)
    for number in range(len(tables)):
        table = browser.run(TABLE, number)
        columns = browser.run("return arguments[0].tHead.rows[0].cells.length", table)
        for column in range(columns):
            head = browser.run("return arguments[0].tHead.rows[0].cells[arguments[1]].querySelector('button')", table, column)
            if head is None:
                sys.exit(f"{page}: its script did not run")
            # What is folded together cannot be clicked; it is unfolded first, as a person would.
            browser.run("for (let e = arguments[0]; e; e = e.parentElement) if (e.tagName === 'DETAILS') e.open = true", head)
            directions = []
            for _ in range(2):
                browser.click(next(iter(head.values())))
                values = browser.run(COLUMN, table, column)
                numeric = browser.run("return arguments[0].closest('th').classList.contains('number')", head)
                key = (lambda value: float(value)) if numeric else None
                state = browser.run("return arguments[0].closest('th').getAttribute('aria-sort')", head)
                if numeric:
                    if [key(value) for value in values] != sorted(map(key, values), reverse=state == "descending"):
                        sys.exit(f"{page}: column {column} of table {number} is not {state}: {values[:10]}")
                else:
                    order = browser.run(
                        "const v = arguments[0]; return v.every((x, i) => i === 0 || (arguments[1] ? -1 : 1) * x.localeCompare(v[i - 1]) >= 0)",
                        values, state == "descending",
                    )
                    if not order:
                        sys.exit(f"{page}: column {column} of table {number} is not {state}: {values[:10]}")
                directions.append(state)
            if sorted(directions) != ["ascending", "descending"]:
                sys.exit(f"{page}: column {column} sorts {directions}")
    holds(page, f"{len(tables)} tables sort by every column, up and down", True)
    fields = browser.find(".filter input")
    for field in fields:
        rows = "const t = arguments[0].closest('.filter').nextElementSibling.querySelector('table'); return [...t.tBodies[0].rows].map(r => [r.hidden, r.textContent])"
        element = {"element-6066-11e4-a52e-4f735466cecf": field}
        word = browser.run("return arguments[0].closest('.filter').nextElementSibling.querySelector('tbody tr').cells[0].textContent.trim()", element)
        browser.type(field, word)
        after = browser.run(rows, element)
        if any(hidden == (word.lower() in text.lower()) for hidden, text in after):
            sys.exit(f"{page}: the filter `{word}` leaves the wrong rows")
        browser.type(field, "\ue003" * len(word))
        if any(hidden for hidden, _ in browser.run(rows, element)):
            sys.exit(f"{page}: an empty filter hides rows")
    holds(page, f"{len(fields)} filters leave the rows that match", True)


def links_lead_somewhere(browser, page):
    broken = browser.run(
        "return [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href')).filter(h => !document.getElementById(h.slice(1)))"
    )
    holds(page, "every link within it leads somewhere", not broken)
    areas = browser.find("svg.map a[href^='#']")
    if areas:
        browser.click(areas[0])
        there = browser.run("const row = document.querySelector('tr:target'); return row && row.getBoundingClientRect().top")
        holds(page, "an area of a map leads to its row", there is not None and -5 <= there < 1000)
    for folded in browser.run("return [...document.querySelectorAll('details')].slice(0, 20)"):
        summary = browser.run("arguments[0].open = false; return arguments[0].querySelector('summary')", folded)
        browser.click(next(iter(summary.values())))
        if not browser.run("return arguments[0].open", folded):
            sys.exit(f"{page}: something folded does not unfold")
    holds(page, "what is folded unfolds", True)


def looked_at(page, into):
    with Browser() as browser:
        browser.open(page, WIDTHS["wide"])
        loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
        holds(page, "it loads nothing", loaded == [])
        sorts_and_filters(browser, page)
        links_lead_somewhere(browser, page)
        said = [entry["message"] for entry in browser.said()]
        holds(page, f"the console is silent {said}", not said)
        for name, width in WIDTHS.items():
            browser.open(page, width)
            wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            holds(page, f"{width} points are wide enough", wide <= 0)
            browser.picture(into / f"{page.stem}-{name}.png")
        browser.print(into / f"{page.stem}.pdf")
        text = browser.run("return document.querySelector('main').innerText.length")
    with Browser(dark=True) as browser:
        browser.open(page, WIDTHS["wide"])
        holds(page, "it is dark where that is wanted", browser.run("return matchMedia('(prefers-color-scheme: dark)').matches"))
        browser.picture(into / f"{page.stem}-dark.png")
    with Browser(scripts=False) as browser:
        browser.open(page, WIDTHS["wide"])
        holds(page, "without scripts nothing is offered that needs them", not browser.find("th button, .filter"))
        found = len(browser.text(browser.find("main")[0]))
        holds(page, "without scripts it says the same", found > 0.8 * text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=pathlib.Path, required=True)
    parser.add_argument("pages", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    driver = subprocess.Popen(["chromedriver", f"--port={PORT}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                call("GET", "/status")
                break
            except OSError:
                time.sleep(0.1)
        for page in arguments.pages:
            looked_at(page, arguments.into)
    finally:
        driver.terminate()
        driver.wait()


main()
