"""Looks for devices whose readings leave their usual range, and tells a webhook.

The usual range of a reading is its median over a day with a scale from the median absolute deviation: a few wild
values do not widen it, as they would a standard deviation. Runs every hour from a schedule over the day's objects
that ingestion wrote.
"""

import collections
import functools
import logging
import os
import statistics
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import boto3
import httpx
import orjson
import tenacity

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

FEWEST_VALUES = 12  # a range from less than an hour of values says nothing
NORMAL_SCALE = 1.4826  # makes the median absolute deviation of normal values equal their standard deviation


class Reading(NamedTuple):
    """One value of one quantity."""

    device: str
    quantity: str
    time: str
    value: float


class Outlier(NamedTuple):
    """The latest reading of a device, far from the usual ones."""

    device: str
    quantity: str
    time: str
    value: float
    median: float
    score: float


@functools.cache
def s3() -> Any:
    """Returns the S3 client, made on first use."""
    return boto3.client("s3")


def readings(lines: Iterable[bytes]) -> Iterator[Reading]:
    """Yields the readings in JSON lines of telemetry."""
    for line in lines:
        record = orjson.loads(line)
        for quantity, value in record["readings"].items():
            yield Reading(record["device"], quantity, record["time"], float(value))


def outliers(values: Iterable[Reading], threshold: float, floor: float) -> list[Outlier]:
    """Compares the latest reading of each device and quantity with all earlier ones.

    Args:
        values: Readings in any order.
        threshold: How many scales from the median count as far.
        floor: The smallest scale, as a fraction of the median: a constant reading has a deviation of zero, and any
            noise at all would be infinitely far.
    """
    series: collections.defaultdict[tuple[str, str], list[Reading]] = collections.defaultdict(list)
    for reading in values:
        series[reading.device, reading.quantity].append(reading)
    found = []
    for _, members in sorted(series.items()):
        members.sort(key=lambda reading: reading.time)
        *earlier, latest = members
        if len(earlier) < FEWEST_VALUES:
            continue
        median = statistics.median(reading.value for reading in earlier)
        deviation = statistics.median(abs(reading.value - median) for reading in earlier)
        scale = max(NORMAL_SCALE * deviation, abs(median) * floor, 1e-9)
        score = (latest.value - median) / scale
        if abs(score) > threshold:
            found.append(Outlier(*latest, median=median, score=round(score, 2)))
    return found


def lines_of(bucket: str, day: str) -> Iterator[bytes]:
    """Yields the JSON lines of a day."""
    for page in s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"telemetry/day={day}/"):
        for item in page.get("Contents", []):
            yield from s3().get_object(Bucket=bucket, Key=item["Key"])["Body"].read().splitlines()


def is_temporary(error: BaseException) -> bool:
    """Tells whether asking again may help."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, httpx.TransportError)


@tenacity.retry(
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=8),
    retry=tenacity.retry_if_exception(is_temporary),
    reraise=True,
)
def notify(url: str, found: list[Outlier], transport: httpx.BaseTransport | None = None) -> None:
    """Tells the webhook what was found."""
    with httpx.Client(timeout=5, transport=transport) as client:
        body = orjson.dumps({"outliers": [outlier._asdict() for outlier in found]})
        client.post(url, content=body, headers={"content-type": "application/json"}).raise_for_status()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Analyses the day of the schedule's time."""
    day = event["time"][:10]
    threshold = float(os.environ.get("THRESHOLD", "6"))
    floor = float(os.environ.get("FLOOR", "0.01"))
    found = outliers(readings(lines_of(os.environ["BUCKET"], day)), threshold, floor)
    for outlier in found:
        log.info("outlier: %s", outlier)
    if found and (url := os.environ.get("WEBHOOK_URL")):
        notify(url, found)
    return {"day": day, "outliers": len(found), "devices": sorted({outlier.device for outlier in found})}
