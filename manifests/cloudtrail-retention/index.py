"""Deletes partitions of events that are past their retention period.

Bucket life-cycle rules know the age of an object, not the day in its key, and a partition may be written again long
after its day. Some accounts must keep their events longer, and a legal hold keeps everything. Without `"apply": true`
in the event, the function only reports what it would delete.
"""

import datetime
import functools
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

KEY = re.compile(r"events/account=(?P<account>[^/]+)/region=[^/]+/day=(?P<day>\d{4}-\d{2}-\d{2})/.+")
DELETE_LIMIT = 1000  # keys that DeleteObjects takes at once
SHORTEST_DAYS = 30  # a typing error in the settings must not empty the bucket


@dataclass(frozen=True)
class Retention:
    """How long events are kept."""

    days: int
    by_account: dict[str, int] = field(default_factory=dict)
    holds: frozenset[str] = frozenset()

    @classmethod
    def from_json(cls, text: str) -> "Retention":
        """Reads settings such as `{"days": 400, "accounts": {"123456789012": 2555}, "holds": ["210987654321"]}`.

        Raises:
            ValueError: If a period is shorter than any that makes sense.
        """
        raw = json.loads(text)
        settings = cls(
            days=int(raw["days"]),
            by_account={str(account): int(days) for account, days in raw.get("accounts", {}).items()},
            holds=frozenset(map(str, raw.get("holds", []))),
        )
        shortest = min([settings.days, *settings.by_account.values()])
        if shortest < SHORTEST_DAYS:
            raise ValueError(f"a retention of {shortest} days is below the allowed minimum of {SHORTEST_DAYS}")
        return settings

    def is_expired(self, key: str, today: datetime.date) -> bool:
        """Tells whether an object is past its period. Keys of another shape never are."""
        match = KEY.fullmatch(key)
        if match is None or match["account"] in self.holds:
            return False
        try:
            day = datetime.date.fromisoformat(match["day"])
        except ValueError:
            return False
        return (today - day).days > self.by_account.get(match["account"], self.days)


@functools.cache
def s3() -> Any:
    """Returns the S3 client, made on first use."""
    return boto3.client("s3")


def keys(bucket: str) -> Iterator[str]:
    """Yields every key of the events."""
    for page in s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="events/"):
        for item in page.get("Contents", []):
            yield item["Key"]


def delete(bucket: str, expired: Iterable[str]) -> int:
    """Deletes objects in batches and returns how many could not be deleted."""
    failed = 0
    batch: list[dict[str, str]] = []

    def flush() -> int:
        reply = s3().delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for error in reply.get("Errors", []):
            log.error("could not delete %s: %s", error.get("Key"), error.get("Message"))
        batch.clear()
        return len(reply.get("Errors", []))

    for key in expired:
        batch.append({"Key": key})
        if len(batch) == DELETE_LIMIT:
            failed += flush()
    if batch:
        failed += flush()
    return failed


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Applies the retention for the day of the schedule's time."""
    bucket = os.environ["EVENTS_BUCKET"]
    retention = Retention.from_json(os.environ.get("RETENTION", '{"days": 400}'))
    today = datetime.datetime.fromisoformat(event["time"]).date()
    apply = event.get("apply") is True
    expired = [key for key in keys(bucket) if retention.is_expired(key, today)]
    by_account = Counter(key.split("/")[1].removeprefix("account=") for key in expired)
    failed = delete(bucket, expired) if apply else 0
    log.info("%s %d objects", "deleted" if apply else "would delete", len(expired) - failed)
    return {"apply": apply, "expired": len(expired), "failed": failed, "accounts": dict(sorted(by_account.items()))}
