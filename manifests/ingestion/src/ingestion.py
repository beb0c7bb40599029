"""Checks telemetry records from a Kinesis stream against their schema and stores them as JSON lines.

Good records go to one object a batch; bad ones to another with the reason, so that nothing is lost and a bad device
cannot stop the stream. Object names follow from the batch: a batch that is delivered twice overwrites itself.
"""

import base64
import collections
import functools
import logging
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import boto3
import jsonschema
import orjson
import tenacity

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["device", "time", "readings"],
    "properties": {
        "device": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{2,39}$"},
        "time": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$"},
        "firmware": {"type": "string", "maxLength": 40},
        "readings": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 64,
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
            "additionalProperties": {"type": "number"},
        },
    },
    "additionalProperties": False,
}
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
MAX_RECORD_BYTES = 64 * 1024


class Bad(NamedTuple):
    """A record that cannot be stored, with the reason."""

    sequence: str
    reason: str
    data: str


class Batch(NamedTuple):
    """A checked batch: good records by day, and bad ones."""

    good: dict[str, list[dict[str, Any]]]
    bad: list[Bad]


@functools.cache
def s3() -> Any:
    """Returns the S3 client, made on first use."""
    return boto3.client("s3")


def check(records: Iterable[dict[str, Any]]) -> Batch:
    """Decodes and checks the records of a batch."""
    good: collections.defaultdict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    bad = []
    for record in records:
        kinesis = record["kinesis"]
        data = base64.b64decode(kinesis["data"])
        reason = None
        document: Any = None
        if len(data) > MAX_RECORD_BYTES:
            reason = f"longer than {MAX_RECORD_BYTES} bytes"
        else:
            try:
                document = orjson.loads(data)
            except orjson.JSONDecodeError as error:
                reason = f"not JSON: {error}"
            else:
                first = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(document))
                if first is not None:
                    reason = f"{first.json_path}: {first.message}"[:500]
        if reason is None:
            good[document["time"][:10]].append(document)
        else:
            bad.append(Bad(kinesis["sequenceNumber"], reason, kinesis["data"][:4096]))
    return Batch(dict(sorted(good.items())), bad)


def as_lines(documents: Iterable[Any]) -> bytes:
    """Writes documents as JSON lines with sorted keys."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS
    return b"".join(orjson.dumps(document, option=options) for document in documents)


@tenacity.retry(
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_random_exponential(multiplier=0.2, max=3),
    retry=tenacity.retry_if_exception(lambda error: "SlowDown" in str(error) or "Timeout" in type(error).__name__),
    reraise=True,
)
def put(key: str, body: bytes) -> None:
    """Stores an object; asked to slow down, it does and tries again."""
    s3().put_object(Bucket=os.environ["BUCKET"], Key=key, Body=body, ContentType="application/jsonl")


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Stores one batch of the stream."""
    records = event["Records"]
    if not records:
        return {"stored": 0, "bad": 0}
    batch = check(records)
    shard = records[0]["eventID"].split(":")[0]
    name = f"{shard}-{records[0]['kinesis']['sequenceNumber']}.jsonl"
    for day, documents in batch.good.items():
        put(f"telemetry/day={day}/{name}", as_lines(documents))
    if batch.bad:
        put(f"rejected/{name}", as_lines(bad._asdict() for bad in batch.bad))
        log.warning("%d records rejected, the first because: %s", len(batch.bad), batch.bad[0].reason)
    return {"stored": sum(map(len, batch.good.values())), "bad": len(batch.bad)}
