"""Rate rules, and who breaks them."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .logs import Request


@dataclass(frozen=True)
class RateRule:
    """More than `limit` requests of one address in one minute, below a path, break the rule.

    Blocked requests count only if `count_blocked` is set: an address that is blocked already would otherwise stay so
    for as long as it tries.
    """

    name: str
    limit: int
    path: str = "/"
    hold_minutes: int = 240
    count_blocked: bool = False

    def counts(self, request: Request) -> bool:
        """Tells whether a request counts for this rule."""
        return request.path.startswith(self.path) and (self.count_blocked or request.action != "BLOCK")


def parse_rules(text: str) -> list[RateRule]:
    """Reads rules from JSON: a list of objects with the fields of `RateRule`.

    Raises:
        ValueError: If a rule has a limit below one, or two rules have one name.
    """
    rules = [RateRule(**item) for item in json.loads(text)]
    if any(rule.limit < 1 for rule in rules):
        raise ValueError("a rate rule needs a limit of at least 1")
    if len({rule.name for rule in rules}) != len(rules):
        raise ValueError("two rate rules have the same name")
    return rules


@dataclass(frozen=True)
class Offence:
    """An address that broke a rule, at its worst minute."""

    address: str
    rule: str
    count: int
    until: int


def find_offences(requests: Iterable[Request], rules: list[RateRule]) -> dict[str, Offence]:
    """Returns the offence with the longest hold for each address that broke a rule."""
    counts: defaultdict[RateRule, Counter[tuple[str, int]]] = defaultdict(Counter)
    for request in requests:
        for rule in rules:
            if rule.counts(request):
                counts[rule][request.address, request.minute] += 1
    worst: dict[str, Offence] = {}
    for rule, seen in counts.items():
        for (address, minute), count in seen.items():
            if count > rule.limit:
                offence = Offence(address, rule.name, count, minute + rule.hold_minutes)
                worst[address] = later(worst.get(address), offence)
    return worst


def merge(earlier: dict[str, Offence], new: dict[str, Offence], now: int) -> dict[str, Offence]:
    """Joins offences of earlier logs with new ones, and drops those whose time is over.

    Args:
        earlier: What is held now.
        new: What this log added.
        now: Minutes since 1970.
    """
    merged = dict(earlier)
    for address, offence in new.items():
        merged[address] = later(merged.get(address), offence)
    return {address: offence for address, offence in sorted(merged.items()) if offence.until > now}


def later(a: Offence | None, b: Offence) -> Offence:
    """Returns the offence that is held longer, and of two equal ones the one with the higher count."""
    return b if a is None or (b.until, b.count) > (a.until, a.count) else a
