"""Splits CloudTrail's log files into JSON lines, partitioned by account, region and day.

CloudTrail delivers gzipped JSON documents, each with a list of events. A query engine prefers one event a line under
keys that name the partition. Events are sorted and get an object name that follows from the source object, so that a
repeated delivery overwrites its own result and never doubles an event.
"""

import functools
import gzip
import hashlib
import io
import json
import logging
import os
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import boto3

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

# A log file holds some thousand events; one that unpacks to more than this is not CloudTrail's.
MAX_UNPACKED_BYTES = 256 * 1024 * 1024

# Calls that only read are most of the volume and rarely asked for.
IGNORED_PREFIXES = ("Describe", "Get", "List", "Head")


class Partition(NamedTuple):
    """The folder that an event belongs to."""

    account: str
    region: str
    day: str

    def key(self, name: str) -> str:
        """Returns the object key of a file in this partition."""
        return f"events/account={self.account}/region={self.region}/day={self.day}/{name}.jsonl.gz"


@functools.cache
def s3() -> Any:
    """Returns the S3 client, made on first use."""
    return boto3.client("s3")


def read_events(body: bytes) -> list[dict[str, Any]]:
    """Unpacks a log file and returns its events.

    Raises:
        ValueError: If the file is too large when unpacked, or is not a CloudTrail document.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
        text = packed.read(MAX_UNPACKED_BYTES + 1)
    if len(text) > MAX_UNPACKED_BYTES:
        raise ValueError(f"log file unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    document = json.loads(text)
    events = document.get("Records") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise ValueError("log file has no list of Records")
    return events


def is_wanted(event: dict[str, Any]) -> bool:
    """Tells whether an event is kept: everything that changes something, failed, or was a sign-in."""
    if event.get("errorCode") or event.get("eventType") == "AwsConsoleSignIn":
        return True
    return not event.get("readOnly", str(event.get("eventName", "")).startswith(IGNORED_PREFIXES))


def partition_of(event: dict[str, Any]) -> Partition:
    """Returns the partition of an event: its recipient's account, its region, its day in UTC."""
    account = event.get("recipientAccountId") or event.get("userIdentity", {}).get("accountId") or "unknown"
    return Partition(str(account), str(event.get("awsRegion", "global")), str(event.get("eventTime", ""))[:10])


def split(events: Iterable[dict[str, Any]]) -> dict[Partition, bytes]:
    """Groups events by partition and packs each group as sorted JSON lines."""
    groups: defaultdict[Partition, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if is_wanted(event):
            groups[partition_of(event)].append(event)
    packed = {}
    for partition, members in groups.items():
        members.sort(key=lambda event: (event.get("eventTime", ""), event.get("eventID", "")))
        lines = "".join(json.dumps(event, separators=(",", ":"), sort_keys=True) + "\n" for event in members)
        packed[partition] = gzip.compress(lines.encode(), mtime=0)
    return packed


def sources(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields bucket and key of every object that a notification names."""
    for record in event.get("Records", []):
        bucket, key = record["s3"]["bucket"]["name"], urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        # Digest files lie beside the logs and are for their validation.
        if "/CloudTrail-Digest/" not in key:
            yield bucket, key


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Processes the log files of one S3 notification."""
    target = os.environ["TARGET_BUCKET"]
    read = written = 0
    for bucket, key in sources(event):
        events = read_events(s3().get_object(Bucket=bucket, Key=key)["Body"].read())
        read += len(events)
        name = hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:32]
        for partition, body in sorted(split(events).items()):
            s3().put_object(Bucket=target, Key=partition.key(name), Body=body, ContentType="application/gzip")
            written += 1
        log.info("processed %s: %d events", key, len(events))
    return {"events": read, "objects": written}
