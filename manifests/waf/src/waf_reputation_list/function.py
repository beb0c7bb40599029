"""The function: fetches the lists, updates the IP sets, writes the report.

If any list fails, its ranges of the last good run are used in its place: an outage of a publisher must not unblock
what the list has named, and must not go unnoticed either, so the failure is in the report and in a metric.
"""

import concurrent.futures
import functools
import ipaddress
import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from waf_ip_sets import Change, IpSet, Network, collapse, replace_addresses

from .report import render
from .sources import Fetched, fetch, parse_sources

logger = Logger()
metrics = Metrics(namespace="Firewall")
tracer = Tracer()


@functools.cache
def s3() -> Any:
    """Returns the S3 client, made on first use."""
    return boto3.client("s3")


def last_good(bucket: str, name: str) -> list[Network]:
    """Returns the ranges that a list had when it was last fetched, or none."""
    try:
        body = s3().get_object(Bucket=bucket, Key=f"lists/{name}.json")["Body"].read()
    except s3().exceptions.NoSuchKey:
        return []
    return [ipaddress.ip_network(text) for text in json.loads(body)]


def remember(bucket: str, fetched: Fetched) -> None:
    """Keeps the ranges of a list for a day on which it cannot be fetched."""
    body = json.dumps([str(network) for network in fetched.networks]).encode()
    s3().put_object(Bucket=bucket, Key=f"lists/{fetched.source.name}.json", Body=body)


@tracer.capture_method(capture_response=False)
def fetch_all(bucket: str) -> tuple[list[Fetched], list[Network]]:
    """Fetches all lists side by side and returns them with the ranges to block."""
    sources = parse_sources(os.environ.get("REPUTATION_LISTS", "[]"))
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        results = list(pool.map(fetch, sources))
    networks: list[Network] = []
    for result in results:
        if result.error:
            logger.warning("list failed", extra={"list": result.source.name, "error": result.error})
            metrics.add_metric(name="ListsFailed", unit=MetricUnit.Count, value=1)
            networks += last_good(bucket, result.source.name)
        else:
            remember(bucket, result)
            networks += result.networks
    return results, networks


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> dict[str, Any]:
    """Runs on a schedule."""
    bucket = os.environ["REPORT_BUCKET"]
    results, networks = fetch_all(bucket)
    keep_out = [ipaddress.ip_network(text) for text in os.environ.get("NEVER_BLOCK", "").split()]
    ranges = collapse(networks, keep_out)
    changes: dict[str, Change] = {}
    for version, variable in ((4, "IP_SET_V4"), (6, "IP_SET_V6")):
        if name := os.environ.get(variable):
            ip_set = IpSet.parse(name)
            changes[ip_set.name] = replace_addresses(ip_set, ranges[version])
    page = render("IP reputation lists", event.time, results, changes)
    s3().put_object(Bucket=bucket, Key="report.html", Body=page.encode(), ContentType="text/html; charset=utf-8")
    total = sum(map(len, ranges.values()))
    metrics.add_metric(name="RangesBlocked", unit=MetricUnit.Count, value=total)
    return {"ranges": total, "failed": [result.source.name for result in results if result.error]}
