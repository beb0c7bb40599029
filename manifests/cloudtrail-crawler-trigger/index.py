"""Starts the Glue crawler when events have arrived in partitions that the catalogue does not have.

A crawl costs money by the minute, and most objects land in partitions that are known. Notifications come in batches
from a queue; the crawler is started at most once a batch. While it is running, the batch is given back to the queue,
so that a partition that the running crawl has passed already is not forgotten.
"""

import functools
import json
import logging
import os
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

import boto3

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

PARTITION = re.compile(r"events/account=(?P<account>[^/]+)/region=(?P<region>[^/]+)/day=(?P<day>\d{4}-\d{2}-\d{2})/")
BATCH = 25  # partitions that BatchGetPartition is asked for at once

Values = tuple[str, str, str]


class CrawlerBusyError(Exception):
    """The crawler is running: the batch must be tried again later."""


@functools.cache
def glue() -> Any:
    """Returns the Glue client, made on first use."""
    return boto3.client("glue")


def object_keys(event: dict[str, Any]) -> Iterator[str]:
    """Yields the keys in a batch of queue messages that hold S3 notifications."""
    for message in event.get("Records", []):
        body = json.loads(message["body"])
        # S3 sends a test message, which has no records, when the notification is set up.
        for record in body.get("Records", []):
            yield urllib.parse.unquote_plus(record["s3"]["object"]["key"])


def partitions(event: dict[str, Any]) -> set[Values]:
    """Returns the partitions that a batch touches."""
    found = set()
    for key in object_keys(event):
        match = PARTITION.match(key)
        if match:
            found.add((match["account"], match["region"], match["day"]))
        else:
            log.warning("key %s is in no partition", key)
    return found


def unknown(database: str, table: str, wanted: set[Values]) -> set[Values]:
    """Returns the partitions that the catalogue does not have."""
    ordered = sorted(wanted)
    missing = set(ordered)
    for start in range(0, len(ordered), BATCH):
        chunk = ordered[start : start + BATCH]
        request = [{"Values": list(values)} for values in chunk]
        while request:
            try:
                reply = glue().batch_get_partition(DatabaseName=database, TableName=table, PartitionsToGet=request)
            except glue().exceptions.EntityNotFoundException:
                return missing  # the table itself is not there before the first crawl
            missing -= {tuple(partition["Values"]) for partition in reply.get("Partitions", [])}
            request = reply.get("UnprocessedKeys", [])
    return missing


def start(crawler: str) -> None:
    """Starts the crawler.

    Raises:
        CrawlerBusyError: If it is running already.
    """
    try:
        glue().start_crawler(Name=crawler)
    except glue().exceptions.CrawlerRunningException as error:
        raise CrawlerBusyError(crawler) from error


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handles one batch from the queue. An exception gives the whole batch back."""
    wanted = partitions(event)
    missing = unknown(os.environ.get("DATABASE", "cloudtrail"), os.environ.get("TABLE", "events"), wanted)
    if missing:
        start(os.environ["CRAWLER_NAME"])
        log.info("started for %s", sorted(missing))
    return {"partitions": len(wanted), "new": len(missing), "started": bool(missing)}
