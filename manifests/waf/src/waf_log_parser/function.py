"""The function: reads new logs, remembers who is held, updates the IP sets.

What is held is kept as one JSON object in the log bucket. Invocations are serialised by a reserved concurrency of
one, so that two of them never overwrite each other's memory.
"""

import dataclasses
import functools
import ipaddress
import json
import os
import urllib.parse
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import S3Event, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from waf_ip_sets import IpSet, collapse, replace_addresses

from .logs import requests, text_of
from .offenders import Offence, find_offences, merge, parse_rules

logger = Logger()
metrics = Metrics(namespace="Firewall")
tracer = Tracer()

STATE_KEY = "state/offences.json"
DEFAULT_RULES = """[
    {"name": "everything", "limit": 1000},
    {"name": "login", "limit": 20, "path": "/login", "hold_minutes": 720}
]"""


@functools.cache
def s3() -> Any:
    """Returns the S3 client, made on first use."""
    return boto3.client("s3")


def load_state(bucket: str) -> dict[str, Offence]:
    """Returns what is held, or nothing on the first run."""
    try:
        body = s3().get_object(Bucket=bucket, Key=STATE_KEY)["Body"].read()
    except s3().exceptions.NoSuchKey:
        return {}
    return {item["address"]: Offence(**item) for item in json.loads(body)}


def save_state(bucket: str, offences: dict[str, Offence]) -> None:
    """Remembers what is held."""
    items = [dataclasses.asdict(offence) for offence in offences.values()]
    s3().put_object(Bucket=bucket, Key=STATE_KEY, Body=json.dumps(items).encode(), ContentType="application/json")


@tracer.capture_method(capture_response=False)
def update_sets(offences: dict[str, Offence]) -> None:
    """Writes the held addresses to the set of each IP version that is configured."""
    keep_out = [ipaddress.ip_network(text) for text in os.environ.get("NEVER_BLOCK", "").split()]
    ranges = collapse(map(ipaddress.ip_network, offences), keep_out)
    for version, variable in ((4, "IP_SET_V4"), (6, "IP_SET_V6")):
        if name := os.environ.get(variable):
            replace_addresses(IpSet.parse(name), ranges[version])


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@event_source(data_class=S3Event)
def handler(event: S3Event, context: LambdaContext) -> dict[str, int]:
    """Handles a notification about new log objects."""
    rules = parse_rules(os.environ.get("RATE_RULES", DEFAULT_RULES))
    bucket = event.bucket_name
    held = load_state(bucket)
    seen = 0
    for record in event.records:
        key = urllib.parse.unquote_plus(record.s3.get_object.key)
        log = list(requests(text_of(s3().get_object(Bucket=bucket, Key=key)["Body"].read())))
        seen += len(log)
        # The log's own time decides what is over, so that late or repeated logs give the same result.
        now = max((request.minute for request in log), default=0)
        held = merge(held, find_offences(log, rules), now)
    update_sets(held)
    save_state(bucket, held)
    metrics.add_metric(name="RequestsRead", unit=MetricUnit.Count, value=seen)
    metrics.add_metric(name="AddressesHeld", unit=MetricUnit.Count, value=len(held))
    return {"requests": seen, "held": len(held)}
