"""Updating an IP set: no needless writes, and lost races are run again."""

from ipaddress import ip_network

import pytest
from botocore.exceptions import ClientError

from waf_ip_sets import IpSet, replace_addresses
from waf_ip_sets.update import TooManyRangesError

SET = IpSet("blocked", "11111111-2222-3333-4444-555555555555")


class Firewall:
    """A WAFv2 API with one set that checks lock tokens."""

    def __init__(self, addresses, races=0):
        self.addresses, self.token, self.races, self.writes = list(addresses), 0, races, 0

    def get_ip_set(self, **_):
        reply = {"IPSet": {"Addresses": list(self.addresses)}, "LockToken": str(self.token)}
        if self.races:
            self.races -= 1
            self.token += 1
        return reply

    def update_ip_set(self, *, Addresses, LockToken, **_):
        if LockToken != str(self.token):
            raise ClientError({"Error": {"Code": "WAFOptimisticLockException"}}, "UpdateIPSet")
        self.addresses, self.writes = Addresses, self.writes + 1


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_only_differences_are_written():
    firewall = Firewall(["1.1.1.0/24"])
    assert not replace_addresses(SET, [ip_network("1.1.1.0/24")], firewall)
    assert firewall.writes == 0
    change = replace_addresses(SET, [ip_network("8.8.8.8/32")], firewall)
    assert (change.added, change.removed) == (["8.8.8.8/32"], ["1.1.1.0/24"])
    assert firewall.addresses == ["8.8.8.8/32"]


def test_a_lost_race_is_run_again():
    firewall = Firewall([], races=2)
    assert replace_addresses(SET, [ip_network("8.8.8.8/32")], firewall).added == ["8.8.8.8/32"]
    assert firewall.writes == 1


def test_other_errors_are_not_retried():
    class Broken(Firewall):
        def get_ip_set(self, **_):
            self.writes += 1
            raise ClientError({"Error": {"Code": "WAFNonexistentItemException"}}, "GetIPSet")

    firewall = Broken([])
    with pytest.raises(ClientError):
        replace_addresses(SET, [], firewall)
    assert firewall.writes == 1


def test_a_set_has_a_limit():
    networks = (ip_network((0x08000000 + 2 * n, 32)) for n in range(10_001))
    with pytest.raises(TooManyRangesError):
        replace_addresses(SET, networks, Firewall([]))


def test_sets_are_named_with_their_scope():
    assert IpSet.parse("a|b|CLOUDFRONT") == IpSet("a", "b", "CLOUDFRONT")
    with pytest.raises(ValueError, match="REGIONAL"):
        IpSet.parse("a|b")
