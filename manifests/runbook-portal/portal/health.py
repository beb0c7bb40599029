"""Whether the portal lists its runbooks: for the engine's health check."""

import os
import urllib.request


def check() -> None:
    """Raises if it does not."""
    port = os.environ.get("PORT", "8080")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
        if b"<li>" not in answer.read():
            raise SystemExit("no runbook is listed")


if __name__ == "__main__":
    check()
