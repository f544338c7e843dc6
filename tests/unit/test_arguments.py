"""Arguments of the functions: what is refused before the system is asked."""

from __future__ import annotations

import ipaddress

import pytest

import routenotify
from routenotify import _routenotify, netioapi


@pytest.mark.parametrize(
    "address",
    ["", "x", "1.2.3", "1.2.3.4/32", "1.2.3.4.5", "::g", "fe80::1%", " 1.1.1.1"],
)
def test_a_text_that_is_no_address_is_an_invalid_parameter(address):
    """The message names the argument and has its value."""
    with pytest.raises(routenotify.InvalidParameter) as caught:
        routenotify.best_route(address)

    assert f"address={address!r} is no IPv4 or IPv6 address" in str(caught.value)
    assert (87, "best_route") == (caught.value.code, caught.value.call)


@pytest.mark.parametrize(
    "address", [None, 0, 2**40, b"\1\2\3\4", ["1.1.1.1"], ipaddress.ip_network("::/0")]
)
def test_what_is_neither_text_nor_address_is_an_invalid_parameter(address):
    """Numbers and bytes are not guessed at."""
    with pytest.raises(routenotify.InvalidParameter, match="address="):
        routenotify.best_route(address)


@pytest.mark.parametrize(
    "address",
    [
        "fe80::1%nosuch",
        ipaddress.ip_address("fe80::1%nosuch"),
        ipaddress.ip_interface("fe80::1%nosuch/64"),
    ],
    ids=str,
)
def test_an_address_with_a_zone_is_refused(address):
    """As text and as objects; the error says where the interface goes.

    Broken was: the zone was ignored, so the route was to the same address on
    another link.
    """
    zone = "has a zone, 'nosuch': give the interface as"
    for call, said in (
        (
            lambda: routenotify.best_route(address),
            f"best_route: address={address!r} {zone} interface=.",
        ),
        (
            lambda: routenotify.best_route("fe80::2", source=address),
            f"best_route: source={address!r} {zone} interface=.",
        ),
        (
            lambda: netioapi.GetBestRoute2(address),
            f"GetBestRoute2: DestinationAddress={address!r} {zone} InterfaceIndex=.",
        ),
    ):
        with pytest.raises(routenotify.InvalidParameter) as caught:
            call()

        assert str(caught.value).startswith(said)


def test_source_is_checked_like_the_address():
    """And must be of its family."""
    with pytest.raises(routenotify.InvalidParameter, match="source='x' is no"):
        routenotify.best_route("1.1.1.1", source="x")
    with pytest.raises(routenotify.InvalidParameter, match="differ in family"):
        routenotify.best_route("1.1.1.1", source="::1")


@pytest.mark.parametrize("interface", ["no-such-interface", "", -1, 0, 2**32, 2**70])
def test_an_interface_that_is_none_is_an_invalid_parameter(interface):
    """By name or number."""
    with pytest.raises(routenotify.InvalidParameter, match="interface="):
        routenotify.best_route("1.1.1.1", interface=interface)


@pytest.mark.parametrize("interface", [1.5, True, b"lo"])
def test_an_interface_of_another_type_is_a_type_error(interface):
    """The message has the value."""
    with pytest.raises(TypeError, match="interface="):
        routenotify.best_route("1.1.1.1", interface=interface)


@pytest.mark.parametrize("family", [1, 99, -1, 2**70, "inet", None, 2.0, True])
def test_routes_refuses_other_families(family):
    """As RouteMonitor."""
    with pytest.raises(routenotify.InvalidParameter) as caught:
        routenotify.routes(family)

    assert f"family={family!r}" in str(caught.value)
    assert "routes" == caught.value.call


@pytest.mark.parametrize("row", [None, 3, b"", object(), "10.0.0.0/8"])
def test_complete_refuses_what_is_no_row(row):
    """TypeError, with the value."""
    with pytest.raises(TypeError, match="RouteChange or Route expected"):
        _routenotify.complete(row)


def test_a_row_by_hand_must_name_an_interface():
    """As Microsoft's page says."""
    row = netioapi.MIB_IPFORWARD_ROW2(ipaddress.ip_network("198.51.100.0/24"))

    with pytest.raises(routenotify.InvalidParameter, match="names no interface"):
        netioapi.GetIpForwardEntry2(row)


@pytest.mark.parametrize("length", [0, 1, 3, 5, 15, 17])
def test_the_native_layer_takes_packed_addresses_only(length):
    """4 or 16 bytes, both of one family."""
    with pytest.raises(ValueError, match="packed addresses"):
        _routenotify.best_route(b"\1" * length)
    with pytest.raises(ValueError, match="packed addresses"):
        _routenotify.best_route(b"\1" * 4, b"\1" * 16)
    with pytest.raises(TypeError):
        _routenotify.best_route("1.1.1.1")


def question(prefix="0.0.0.0/0", **members):
    """A row made by hand, its prefix right."""
    return netioapi.MIB_IPFORWARD_ROW2(ipaddress.ip_network(prefix), **members)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (
            lambda: netioapi.NotifyRouteChange2(99, print),
            "NotifyRouteChange2: AddressFamily=99 is none of AF_UNSPEC",
        ),
        (
            lambda: netioapi.GetIpForwardTable2("inet"),
            "GetIpForwardTable2: Family='inet' is none of AF_UNSPEC",
        ),
        (
            lambda: routenotify.RouteMonitor(99),
            "RouteMonitor: family=99 is none of AF_UNSPEC",
        ),
        (
            lambda: netioapi.GetBestRoute2("x"),
            "GetBestRoute2: DestinationAddress='x' is no IPv4 or IPv6 address",
        ),
        (
            lambda: netioapi.GetBestRoute2("1.1.1.1", SourceAddress=5),
            "GetBestRoute2: SourceAddress=5 is neither text nor an ipaddress address",
        ),
        (
            lambda: netioapi.GetBestRoute2("1.1.1.1", SourceAddress="::1"),
            "GetBestRoute2: SourceAddress='::1' and DestinationAddress='1.1.1.1'",
        ),
        (
            lambda: netioapi.GetBestRoute2("1.1.1.1", InterfaceIndex=-1),
            "GetBestRoute2: InterfaceIndex=-1 is no index",
        ),
        (
            lambda: netioapi.GetBestRoute2("1.1.1.1", InterfaceIndex="lo"),
            "GetBestRoute2(InterfaceIndex='lo'): a number expected, got <class 'str'>",
        ),
        (
            lambda: routenotify.best_route("1.1.1.1", interface="lo", netns=1),
            "best_route: interface='lo' is a name: with netns give its number",
        ),
        (
            lambda: netioapi.GetIpForwardEntry2(None),
            "GetIpForwardEntry2(Row=None): a MIB_IPFORWARD_ROW2, RouteChange or Route",
        ),
        (
            lambda: netioapi.GetIpForwardEntry2(
                netioapi.MIB_IPFORWARD_ROW2("0.0.0.0/0", InterfaceIndex=4)
            ),
            "GetIpForwardEntry2(Row.DestinationPrefix='0.0.0.0/0'): an ipaddress",
        ),
        (
            lambda: netioapi.GetIpForwardEntry2(
                question(NextHop="192.0.2.1", InterfaceIndex=4)
            ),
            "GetIpForwardEntry2(Row.NextHop='192.0.2.1'): an ipaddress address or None",
        ),
        (
            lambda: netioapi.GetIpForwardEntry2(question(InterfaceIndex="4")),
            "GetIpForwardEntry2(Row.InterfaceIndex='4'): a number expected",
        ),
        (
            lambda: netioapi.GetIpForwardEntry2(question(InterfaceLuid=True)),
            "GetIpForwardEntry2(Row.InterfaceLuid=True): a number expected",
        ),
    ],
)
def test_an_error_has_call_and_argument_as_the_caller_knows_them(ask, says):
    """And the value; some had the names of what was called underneath."""
    with pytest.raises((TypeError, ValueError)) as caught:
        ask()

    assert says in str(caught.value)
