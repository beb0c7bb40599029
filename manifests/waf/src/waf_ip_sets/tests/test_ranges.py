"""Address ranges: what is read, what is refused, what remains."""

from ipaddress import ip_network

from waf_ip_sets import collapse, parse_networks


def test_fields_after_the_address_are_ignored():
    networks, rejected = parse_networks(
        ["8.8.8.8", "1.1.1.0/24 ; SBL1", "9.9.9.9,DE,2026-01-01", "# only a comment", ""]
    )
    assert [str(n) for n in networks] == ["8.8.8.8/32", "1.1.1.0/24", "9.9.9.9/32"]
    assert rejected == []


def test_host_bits_are_dropped():
    assert parse_networks(["8.8.8.8/24"])[0] == [ip_network("8.8.8.0/24")]


def test_what_must_not_be_blocked_is_refused_with_its_line():
    networks, rejected = parse_networks(["10.0.0.1", "0.0.0.0/0", "not-an-address", "224.0.0.1", "::1"])
    assert networks == []
    assert [text.split(":")[0] for text in rejected] == [f"line {n}" for n in range(1, 6)]
    assert "too large" in rejected[1]


def test_neighbours_are_merged():
    networks = [ip_network("1.1.1.0/25"), ip_network("1.1.1.128/25"), ip_network("2001:db9::/32")]
    assert collapse(networks) == {4: [ip_network("1.1.1.0/24")], 6: [ip_network("2001:db9::/32")]}


def test_a_hole_is_cut_out():
    left = collapse([ip_network("1.1.1.0/30")], keep_out=[ip_network("1.1.1.2/32")])[4]
    assert left == [ip_network("1.1.1.0/31"), ip_network("1.1.1.3/32")]
    assert collapse([ip_network("1.1.1.0/30")], keep_out=[ip_network("1.1.0.0/16")])[4] == []
