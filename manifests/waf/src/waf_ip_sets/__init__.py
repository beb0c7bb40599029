"""The firewall's IP sets: address ranges as values, and their update through the WAFv2 API."""

from .ranges import Network, collapse, parse_networks
from .update import Change, IpSet, replace_addresses

__all__ = ["Change", "IpSet", "Network", "collapse", "parse_networks", "replace_addresses"]
