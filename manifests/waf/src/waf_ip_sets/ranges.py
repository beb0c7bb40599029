"""Address ranges: read from text, checked, and made as few as possible."""

import ipaddress
from collections.abc import Iterable, Iterator

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Blocking more than this at once is a mistake in a list, not a reputation. WAFv2 itself takes /1 to /32 and /24 to
# /128 in IP sets; the shortest prefixes here are stricter.
SHORTEST_PREFIX = {4: 8, 6: 24}

# A set may hold this many ranges (AWS WAF quotas).
MAX_RANGES = 10_000


def parse_networks(lines: Iterable[str]) -> tuple[list[Network], list[str]]:
    """Reads one address or range from each line.

    Comments start with `#` or `;`. What follows the first field is ignored, because lists differ in what they add:
    a country, a date, a count. Host bits are dropped: lists often write them.

    Returns:
        The ranges in the order of the text, and the lines that could not be used, each with its reason.
    """
    networks: list[Network] = []
    rejected: list[str] = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].split(";", 1)[0].strip()
        if not text:
            continue
        field = text.replace(",", " ").split()[0]
        try:
            network = ipaddress.ip_network(field, strict=False)
        except ValueError:
            rejected.append(f"line {number}: `{field[:60]}` is neither an address nor a range")
            continue
        if network.prefixlen < SHORTEST_PREFIX[network.version]:
            rejected.append(f"line {number}: {network} is too large to block")
        elif not is_public(network):
            rejected.append(f"line {number}: {network} is not on the public internet")
        else:
            networks.append(network)
    return networks, rejected


def is_public(network: Network) -> bool:
    """Tells whether a range is routed on the internet: blocking anything else would hit ourselves."""
    return network.is_global and not network.is_multicast


def collapse(networks: Iterable[Network], keep_out: Iterable[Network] = ()) -> dict[int, list[Network]]:
    """Merges ranges that touch or overlap, and cuts out what must never be blocked.

    Args:
        networks: Ranges of both versions, in any order.
        keep_out: Ranges that the result must not cover, such as an office or a monitoring service.

    Returns:
        Sorted ranges by IP version; both versions are present even if empty.
    """
    result: dict[int, list[Network]] = {}
    kept = list(keep_out)
    members = list(networks)
    for version in (4, 6):
        ranges: list[Network] = list(ipaddress.collapse_addresses(n for n in members if n.version == version))
        for hole in (n for n in kept if n.version == version):
            ranges = [piece for network in ranges for piece in without(network, hole)]
        result[version] = sorted(ranges)
    return result


def without(network: Network, hole: Network) -> Iterator[Network]:
    """Yields what remains of a range when another is cut out of it."""
    if not network.overlaps(hole):
        yield network
    elif hole.prefixlen > network.prefixlen:
        yield from network.address_exclude(hole)
    # Otherwise the hole covers the whole range, and nothing remains.
