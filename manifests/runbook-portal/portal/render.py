"""Renders every runbook, once, when the image is built."""

import json
import pathlib
import sys

import jinja2
import markdown


def title_of(text: str, name: str) -> str:
    """The first heading of a runbook, or its file name."""
    for line in text.splitlines():
        if line.startswith("# "):
            return line.removeprefix("# ").strip()
    return name


def render(runbooks: pathlib.Path, templates: pathlib.Path, site: pathlib.Path) -> list[dict[str, str]]:
    """Writes a page for each runbook, and an index of them that the server reads."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html")
    site.mkdir(parents=True, exist_ok=True)
    index = []
    for source in sorted(runbooks.glob("*.md")):
        text = source.read_text(encoding="utf-8")
        title = title_of(text, source.stem)
        body = markdown.markdown(text, extensions=["fenced_code", "tables", "toc"])
        (site / f"{source.stem}.html").write_text(page.render(title=title, body=body), encoding="utf-8")
        index.append({"name": source.stem, "title": title, "text": text.lower()})
    (site / "index.json").write_text(json.dumps(index, sort_keys=True), encoding="utf-8")
    return index


if __name__ == "__main__":
    written = render(*map(pathlib.Path, sys.argv[1:4]))
    if not written:
        raise SystemExit("there is no runbook")
    print(f"{len(written)} runbooks")
