"""Serves the rendered runbooks, and finds them by their words."""

import http.server
import json
import os
import pathlib
import urllib.parse

import jinja2

SITE = pathlib.Path(os.environ.get("PORTAL_SITE", "site"))
TEMPLATES = pathlib.Path(__file__).resolve().parent.parent / "templates"


def found(index: list[dict[str, str]], words: str) -> list[dict[str, str]]:
    """The runbooks that hold every word."""
    wanted = words.lower().split()
    return [entry for entry in index if all(word in entry["text"] for word in wanted)]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET requests: the list at the root, a page for each runbook."""

    index = json.loads((SITE / "index.json").read_text(encoding="utf-8")) if SITE.is_dir() else []
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)

    def do_GET(self) -> None:
        """Finds the page that is asked for."""
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/":
            words = urllib.parse.parse_qs(url.query).get("q", [""])[0]
            template = self.environment.get_template("list.html")
            return self.answer(200, template.render(words=words, runbooks=found(self.index, words)))
        name = url.path.strip("/")
        if any(entry["name"] == name for entry in self.index):
            return self.answer(200, (SITE / f"{name}.html").read_text(encoding="utf-8"))
        return self.answer(404, "no such runbook")

    def answer(self, status: int, text: str) -> None:
        """Sends a page."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serves until it is ended."""
    http.server.ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()


if __name__ == "__main__":
    main()
