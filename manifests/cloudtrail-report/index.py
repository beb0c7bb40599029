"""Writes a summary of one day: who did what, what was refused, and who had not been seen before.

Reads the JSON lines that cloudtrail-log-processor wrote, and yesterday's summary for the comparison. Runs once a day
from a schedule; a day can be named in the event to write a report again.
"""

import csv
import datetime
import functools
import gzip
import io
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import boto3

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

TOP = 50  # rows of each table
REFUSALS = ("AccessDenied", "UnauthorizedOperation", "Client.UnauthorizedOperation", "AccessDeniedException")


@functools.cache
def s3() -> Any:
    """Returns the S3 client, made on first use."""
    return boto3.client("s3")


class Summary:
    """Counts over the events of a day."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.addresses: dict[str, set[str]] = {}
        self.events = 0

    def add(self, event: dict[str, Any]) -> None:
        """Counts one event."""
        who = principal(event)
        what = f"{str(event.get('eventSource', '')).split('.')[0]}:{event.get('eventName')}"
        self.events += 1
        self.calls[who, what] += 1
        self.addresses.setdefault(who, set()).add(str(event.get("sourceIPAddress", "")))
        if event.get("errorCode") in REFUSALS:
            self.refused[who, what] += 1

    def rows(self, known: frozenset[str]) -> Iterator[tuple[str, ...]]:
        """Yields the report's rows: the busiest callers, then refusals, then principals not known before."""
        # Ties are broken by name, so that a report written again is the same.
        for (who, what), count in sorted(self.calls.items(), key=lambda item: (-item[1], item[0]))[:TOP]:
            yield "call", who, what, str(count)
        for (who, what), count in sorted(self.refused.items(), key=lambda item: (-item[1], item[0]))[:TOP]:
            yield "refused", who, what, str(count)
        for who in sorted(self.addresses.keys() - known):
            yield "new", who, " ".join(sorted(self.addresses[who])), ""


def principal(event: dict[str, Any]) -> str:
    """Returns the role or user behind an event, without the name of the session."""
    identity = event.get("userIdentity") or {}
    issuer = (identity.get("sessionContext") or {}).get("sessionIssuer") or {}
    return str(issuer.get("arn") or identity.get("arn") or identity.get("invokedBy") or identity.get("type", "unknown"))


def events_of(bucket: str, day: str) -> Iterator[dict[str, Any]]:
    """Yields every event of a day, from all accounts and regions."""
    pages = s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="events/")
    for page in pages:
        for item in page.get("Contents", []):
            if f"/day={day}/" in item["Key"]:
                body = s3().get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                for line in gzip.decompress(body).splitlines():
                    yield json.loads(line)


def known_principals(bucket: str) -> frozenset[str]:
    """Returns the principals of all reports so far."""
    try:
        body = s3().get_object(Bucket=bucket, Key="known-principals.json")["Body"].read()
    except s3().exceptions.NoSuchKey:
        return frozenset()
    return frozenset(json.loads(body))


def as_csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    """Writes rows as CSV, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("table", "principal", "detail", "count"))
    writer.writerows(rows)
    return text.getvalue().encode()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Writes the report for `event["day"]` or for the day before the schedule's time."""
    if "day" in event:
        day = datetime.date.fromisoformat(event["day"])
    else:
        day = datetime.datetime.fromisoformat(event["time"]).date() - datetime.timedelta(days=1)
    bucket = os.environ["REPORT_BUCKET"]
    summary = Summary()
    for record in events_of(os.environ["EVENTS_BUCKET"], day.isoformat()):
        summary.add(record)
    known = known_principals(bucket)
    key = f"daily/{day:%Y/%m}/{day}.csv"
    s3().put_object(Bucket=bucket, Key=key, Body=as_csv(summary.rows(known)), ContentType="text/csv")
    everyone = sorted(known | summary.addresses.keys())
    s3().put_object(Bucket=bucket, Key="known-principals.json", Body=json.dumps(everyone).encode())
    log.info("wrote %s from %d events", key, summary.events)
    return {"report": key, "events": summary.events, "new": len(summary.addresses.keys() - known)}
