"""Replacing the addresses of an IP set, safely against others who do the same."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import backoff
import boto3
from aws_lambda_powertools import Logger

from .ranges import MAX_RANGES, Network

logger = Logger(child=True)


@dataclass(frozen=True)
class IpSet:
    """An IP set, as WAFv2 names it."""

    name: str
    id: str
    scope: str = "REGIONAL"

    @classmethod
    def parse(cls, text: str) -> "IpSet":
        """Reads `name|id|scope`.

        Raises:
            ValueError: If there are not three parts, or the scope is not one of WAFv2's.
        """
        parts = text.split("|")
        if len(parts) != 3 or parts[2] not in {"REGIONAL", "CLOUDFRONT"}:
            raise ValueError(f"`{text}` is not an IP set: write name|id|REGIONAL or name|id|CLOUDFRONT")
        return cls(*parts)


@dataclass(frozen=True)
class Change:
    """What an update did to a set."""

    added: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


class TooManyRangesError(ValueError):
    """A set cannot hold that many ranges."""


@functools.cache
def client(scope: str) -> Any:
    """Returns the WAFv2 client of a scope. Sets for CloudFront live in one region only."""
    return boto3.client("wafv2", region_name="us-east-1") if scope == "CLOUDFRONT" else boto3.client("wafv2")


def lost_the_race(error: Exception) -> bool:
    """Tells whether somebody else changed the set between our reading and writing it."""
    response = getattr(error, "response", None) or {}
    return response.get("Error", {}).get("Code") == "WAFOptimisticLockException"


def replace_addresses(ip_set: IpSet, networks: Iterable[Network], wafv2: Any = None) -> Change:
    """Makes a set hold exactly these ranges, and does nothing if it does already.

    Args:
        ip_set: The set.
        networks: The ranges, of the set's own IP version.
        wafv2: The client to use; the scope's own if absent.

    Raises:
        TooManyRangesError: If the set could not hold them.
    """
    wafv2 = wafv2 or client(ip_set.scope)
    wanted = sorted({str(network) for network in networks})
    if len(wanted) > MAX_RANGES:
        raise TooManyRangesError(f"{ip_set.name}: {len(wanted)} ranges, but a set holds {MAX_RANGES}")

    # Each attempt reads the set again: the lock token of a lost race is worth nothing.
    @backoff.on_exception(backoff.expo, Exception, max_tries=5, giveup=lambda error: not lost_the_race(error))
    def attempt() -> Change:
        current = wafv2.get_ip_set(Name=ip_set.name, Id=ip_set.id, Scope=ip_set.scope)
        there = set(current["IPSet"]["Addresses"])
        change = Change(added=sorted(set(wanted) - there), removed=sorted(there - set(wanted)))
        if change:
            wafv2.update_ip_set(
                Name=ip_set.name,
                Id=ip_set.id,
                Scope=ip_set.scope,
                Addresses=wanted,
                LockToken=current["LockToken"],
            )
        return change

    change = attempt()
    logger.info(
        "ip set updated", extra={"set": ip_set.name, "added": len(change.added), "removed": len(change.removed)}
    )
    return change
