"""Reputation lists: where they are, and how they are fetched."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import backoff

from waf_ip_sets import Network, parse_networks

TIMEOUT_SECONDS = 10
MAX_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Source:
    """A list that somebody publishes as text, one range a line."""

    name: str
    url: str
    # A list that suddenly has fewer ranges than this is broken, not good news.
    at_least: int = 1


@dataclass(frozen=True)
class Fetched:
    """What a list held."""

    source: Source
    networks: list[Network] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    error: str | None = None


def parse_sources(text: str) -> list[Source]:
    """Reads the sources from JSON: a list of objects with the fields of `Source`.

    Raises:
        ValueError: If a list is not fetched over an authenticated connection.
    """
    sources = [Source(**item) for item in json.loads(text)]
    for source in sources:
        if not source.url.startswith("https://"):
            raise ValueError(f"{source.name}: only https is accepted, not {source.url}")
    return sources


def is_final(error: Exception) -> bool:
    """Tells whether asking again would not help: the server has answered, and it is our request that it refuses."""
    return isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429


@backoff.on_exception(backoff.expo, (urllib.error.URLError, TimeoutError), max_tries=4, giveup=is_final)
def download(url: str) -> str:
    """Fetches a text.

    Raises:
        ValueError: If it is larger than a list should be.
        OSError: If the server cannot be reached or refuses.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "waf-reputation-list"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
        body = reply.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return body.decode("utf-8", errors="replace")


def fetch(source: Source) -> Fetched:
    """Fetches and reads one list. A list that fails is reported in the result: the others still count."""
    try:
        networks, rejected = parse_networks(download(source.url).splitlines())
    except (OSError, ValueError) as error:
        return Fetched(source, error=f"{type(error).__name__}: {error}")
    if len(networks) < source.at_least:
        return Fetched(source, rejected=rejected, error=f"{len(networks)} ranges, expected at least {source.at_least}")
    return Fetched(source, networks, rejected)
