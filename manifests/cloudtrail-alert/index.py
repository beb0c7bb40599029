"""Raises an alert when a CloudTrail event should be seen by a person soon.

Events arrive from EventBridge, one an invocation, as CloudTrail records them. Each rule is a name, a severity and a
predicate; an event may match several and is announced once, with the highest severity. Events that a change window
explains are recorded but not announced.
"""

import functools
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

SEVERITIES = ("low", "medium", "high", "critical")
WEB_PORTS = {(80, 80), (443, 443)}  # first and last port of a rule
SUBJECT_LIMIT = 100  # characters that SNS takes in a subject

Event = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """A pattern of events that someone wants to hear about."""

    name: str
    severity: str
    matches: Callable[[Event], bool]


def called(source: str, *names: str) -> Callable[[Event], bool]:
    """Returns a predicate for calls of a service by name that succeeded."""

    def predicate(event: Event) -> bool:
        return event.get("eventSource") == source and event.get("eventName") in names and not event.get("errorCode")

    return predicate


def is_root(event: Event) -> bool:
    """Tells whether the account's root user acted, and not a service on its behalf."""
    identity = event.get("userIdentity", {})
    return (
        identity.get("type") == "Root" and "invokedBy" not in identity and event.get("eventType") != "AwsServiceEvent"
    )


def is_login_without_mfa(event: Event) -> bool:
    """Tells whether a person signed in to the console with a password only."""
    return (
        event.get("eventName") == "ConsoleLogin"
        and (event.get("responseElements") or {}).get("ConsoleLogin") == "Success"
        and (event.get("additionalEventData") or {}).get("MFAUsed") == "No"
        and event.get("userIdentity", {}).get("type") != "AssumedRole"
    )


def opens_port_to_everyone(event: Event) -> bool:
    """Tells whether a security group was opened to the whole internet for anything but web traffic."""
    if not called("ec2.amazonaws.com", "AuthorizeSecurityGroupIngress")(event):
        return False
    items = ((event.get("requestParameters") or {}).get("ipPermissions") or {}).get("items", [])
    for item in items:
        v4 = [entry.get("cidrIp") for entry in (item.get("ipRanges") or {}).get("items", [])]
        v6 = [entry.get("cidrIpv6") for entry in (item.get("ipv6Ranges") or {}).get("items", [])]
        if ("0.0.0.0/0" in v4 or "::/0" in v6) and (item.get("fromPort"), item.get("toPort")) not in WEB_PORTS:
            return True
    return False


RULES = (
    Rule(
        "trail stopped or changed",
        "critical",
        called("cloudtrail.amazonaws.com", "StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"),
    ),
    Rule("root user acted", "critical", is_root),
    Rule("key scheduled for deletion", "critical", called("kms.amazonaws.com", "ScheduleKeyDeletion", "DisableKey")),
    Rule("sign-in without second factor", "high", is_login_without_mfa),
    Rule(
        "long-lived credentials made",
        "high",
        called("iam.amazonaws.com", "CreateAccessKey", "CreateLoginProfile", "UpdateLoginProfile"),
    ),
    Rule(
        "bucket access changed",
        "high",
        called("s3.amazonaws.com", "PutBucketPolicy", "PutBucketAcl", "DeleteBucketPublicAccessBlock"),
    ),
    Rule("port opened to everyone", "medium", opens_port_to_everyone),
    Rule(
        "permissions changed",
        "low",
        called("iam.amazonaws.com", "AttachRolePolicy", "AttachUserPolicy", "PutRolePolicy", "PutUserPolicy"),
    ),
)


@functools.cache
def sns() -> Any:
    """Returns the SNS client, made on first use."""
    return boto3.client("sns")


def actor(event: Event) -> str:
    """Returns who acted, as well as the event says it."""
    identity = event.get("userIdentity", {})
    issuer = (identity.get("sessionContext") or {}).get("sessionIssuer") or {}
    return identity.get("arn") or issuer.get("arn") or identity.get("principalId") or identity.get("type", "unknown")


def is_expected(event: Event, roles: frozenset[str]) -> bool:
    """Tells whether a role acted whose changes are announced elsewhere, such as the deployment pipeline's."""
    issuer = (event.get("userIdentity", {}).get("sessionContext") or {}).get("sessionIssuer") or {}
    return issuer.get("userName") in roles


def handler(event: Event, context: Any) -> dict[str, Any]:
    """Judges one EventBridge event and announces it if a rule matches."""
    detail = event.get("detail", event)
    matched = [rule for rule in RULES if rule.matches(detail)]
    if not matched:
        return {"alert": False}
    severity = max((rule.severity for rule in matched), key=SEVERITIES.index)
    names = [rule.name for rule in matched]
    expected = frozenset(filter(None, os.environ.get("EXPECTED_ROLES", "").split(",")))
    if severity != "critical" and is_expected(detail, expected):
        log.info("expected: %s by %s", names, actor(detail))
        return {"alert": False, "rules": names}
    message = {
        "severity": severity,
        "rules": names,
        "who": actor(detail),
        "what": f"{detail.get('eventSource')}:{detail.get('eventName')}",
        "when": detail.get("eventTime"),
        "from": detail.get("sourceIPAddress"),
        "region": detail.get("awsRegion"),
        "id": detail.get("eventID"),
    }
    subject = f"[{severity}] {names[0]} in {detail.get('recipientAccountId', 'unknown account')}"[:SUBJECT_LIMIT]
    sns().publish(TopicArn=os.environ["TOPIC_ARN"], Subject=subject, Message=json.dumps(message, indent=2))
    return {"alert": True, "severity": severity, "rules": names}
