"""The firewall's log: JSON lines, gzipped or not, as Firehose and S3 deliver them."""

import gzip
import io
import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Request:
    """One request that the firewall has judged."""

    minute: int
    address: str
    action: str
    host: str
    path: str


def text_of(body: bytes) -> str:
    """Unpacks a log object.

    Raises:
        ValueError: If it is larger than any log that the firewall writes.
    """
    if body.startswith(GZIP_MAGIC):
        with gzip.open(io.BytesIO(body)) as packed:
            body = packed.read(MAX_UNPACKED_BYTES + 1)
    if len(body) > MAX_UNPACKED_BYTES:
        raise ValueError(f"log is larger than {MAX_UNPACKED_BYTES} bytes")
    return body.decode("utf-8", errors="replace")


def requests(text: str) -> Iterator[Request]:
    """Yields the requests of a log. Lines that are not complete are skipped: Firehose may cut the last one.

    The client's address is the one the firewall saw; behind a proxy of ours that would be the proxy, so the first
    public address of `X-Forwarded-For` counts instead if the connection came from a private one.
    """
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            request = entry["httpRequest"]
            address = ipaddress.ip_address(request["clientIp"])
            minute = int(entry["timestamp"]) // 60_000
        except (ValueError, KeyError, TypeError):
            continue
        headers = {h.get("name", "").lower(): h.get("value", "") for h in request.get("headers", [])}
        if not address.is_global:
            address = forwarded_for(headers.get("x-forwarded-for", "")) or address
        yield Request(
            minute=minute,
            address=str(address),
            action=str(entry.get("action", "")),
            host=headers.get("host", ""),
            path=str(request.get("uri", "/")),
        )


def forwarded_for(header: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Returns the first public address of the header, if there is one."""
    for part in header.split(","):
        try:
            address = ipaddress.ip_address(part.strip())
        except ValueError:
            return None
        if address.is_global:
            return address
    return None
