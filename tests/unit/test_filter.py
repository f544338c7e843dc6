"""RouteFilter: what it says of a change, its arguments, algebra, words."""

from __future__ import annotations

import copy
import ipaddress
import os
import pickle
import random
import subprocess
import sys

import pytest
import rnfilter
import rows
from rows import change

import routenotify
from routenotify import ChangeType, InvalidParameter, RouteFilter, RouteType

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(1 << 32))
KEYWORDS = tuple(rnfilter.VALUES)
LINUX = sys.platform == "linux"


def random_change(chance):
    """A change that random filters have something to say of."""
    return change(
        chance.choice(rnfilter.PREFIXES),
        table=chance.choice(rnfilter.TABLES),
        protocol=chance.choice(rnfilter.VALUES["protocols"]),
        interface_index=chance.choice(rnfilter.VALUES["interfaces"]),
        route_type=chance.choice(rnfilter.VALUES["route_types"]),
        type=ChangeType[chance.choice(rnfilter.TYPES)],
    )


# ---- what it says ----


def test_random_filters_say_what_a_naive_judge_says():
    """Terms and & | ~ over them, for changes of every type."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    found = [0, 0]
    for _ in range(3000):
        tree = rnfilter.random_tree(chance, KEYWORDS)
        made = rnfilter.build(tree)
        for _ in range(10):
            one = random_change(chance)
            expected = rnfilter.wants(tree, one, one.type.name)

            assert expected == made.matches(one), (tree, one)
            found[expected] += 1

    assert min(found) > 1000


def test_keywords_of_one_filter_are_all_asked():
    """And within a keyword any value will do."""
    made = RouteFilter(tables=[1, 2], protocols="bgp")

    assert made.matches(change(table=2, protocol=186))
    assert not made.matches(change(table=3, protocol=186))
    assert not made.matches(change(table=2, protocol=4))


def test_destination_keywords_are_one_term():
    """Exactly, or inside, or around: not all at once."""
    made = RouteFilter(
        destinations="192.0.2.0/24", more_specific="10.0.0.0/8", covering="10.1.0.0/16"
    )

    for text in ("192.0.2.0/24", "10.9.0.0/16", "10.1.0.0/16", "0.0.0.0/0"):
        assert made.matches(change(text)), text
    for text in ("192.0.2.0/25", "192.0.0.0/16", "12.0.0.0/8", "::/0"):
        assert not made.matches(change(text)), text


@pytest.mark.parametrize(
    ("options", "matching"),
    [
        ({}, {"10.1.0.0/16"}),
        ({"more_specific": True}, {"10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32"}),
        ({"covering": True}, {"10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"}),
    ],
)
def test_true_means_the_destinations(options, matching):
    """The three ways to ask for a prefix."""
    made = RouteFilter(destinations="10.1.0.0/16", **options)
    every = ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32")

    assert matching == {text for text in every if made.matches(change(text))}
    assert not made.matches(change("11.0.0.0/8"))


def test_an_address_is_a_prefix_and_default_is_two():
    """As text and as objects of ipaddress."""
    address = ipaddress.ip_address("192.0.2.1")
    made = RouteFilter(destinations=["default", address, "2001:db8::1"])

    for text in ("0.0.0.0/0", "::/0", "192.0.2.1/32", "2001:db8::1/128"):
        assert made.matches(change(text)), text
    assert RouteFilter(destinations=[address]) == RouteFilter(
        destinations=ipaddress.ip_network("192.0.2.1/32")
    )


def test_a_filter_without_arguments_wants_everything_and_no_values_nothing():
    """A set that happens to be empty has no members."""
    one = change()

    assert RouteFilter().matches(one)
    assert not RouteFilter(tables=[]).matches(one)
    assert not RouteFilter(destinations=()).matches(one)
    assert (~RouteFilter(tables=())).matches(one)
    assert not (~RouteFilter()).matches(one)


def test_what_the_system_did_not_say_equals_nothing():
    """Notifications of Windows name no table, protocol or type."""
    one = change(fields=0, table=254, protocol=3, route_type=1)

    assert not RouteFilter(tables=254).matches(one)
    assert not RouteFilter(protocols=3).matches(one)
    assert not RouteFilter(route_types=1).matches(one)
    assert RouteFilter(interfaces=3).matches(one)

    completed = change(fields=1 | 8, table=254, protocol=3, route_type=1)

    assert not RouteFilter(tables=254).matches(completed)
    assert not RouteFilter(route_types=1).matches(completed)
    assert RouteFilter(protocols=3).matches(completed)


@pytest.mark.parametrize("kind", [k for k in ChangeType if k > 2])
def test_markers_and_initial_always_match(kind):
    """Who asked for them gets them."""
    assert RouteFilter(tables=[]).matches(change(type=kind))


def test_a_route_matches_if_any_change_of_it_would():
    """Also of types that are not asked for otherwise."""
    route = routenotify.Route(rows.route(table=5))

    assert RouteFilter(tables=5, change_types="DELETE").matches(route)
    assert not RouteFilter(tables=6).matches(route)


def test_ten_thousand_prefixes_are_found_and_no_others():
    """By binary search, in sets that overlap."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    nets = {
        ipaddress.ip_network((chance.randrange(1 << 32) >> 32 - n << 32 - n, n))
        for n in (chance.randrange(9, 33) for _ in range(10_000))
    }
    made = RouteFilter(destinations=nets)
    inside = RouteFilter(more_specific=nets)

    for net in chance.sample(sorted(nets), 500):
        assert made.matches(change(str(net)))
        assert inside.matches(change(str(ipaddress.ip_network((net[-1], 32)))))
        assert made.matches(change(str(net.supernet()))) == (net.supernet() in nets)


# ---- algebra ----


def test_filters_are_values():
    """Equal, hashable, picklable, copied by being shared; the repr makes it again."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    for _ in range(300):
        tree = rnfilter.random_tree(chance, KEYWORDS)
        made, again = rnfilter.build(tree), rnfilter.build(tree)

        assert made == again
        assert hash(made) == hash(again)
        for other in (
            pickle.loads(pickle.dumps(made)),
            copy.deepcopy(made),
            eval(repr(made)),
        ):
            assert made == other, repr(made)


def test_order_and_repetition_of_values_do_not_matter():
    """They are sets."""
    assert RouteFilter(tables=[3, 1, 3]) == RouteFilter(tables=(1, 3))
    assert RouteFilter(protocols="bgp") == RouteFilter(protocols=186)
    assert RouteFilter(route_types="blackhole") == RouteFilter(
        route_types=RouteType.BLACKHOLE
    )
    assert RouteFilter(tables="main") == RouteFilter(tables=254)
    assert RouteFilter(tables=1) != RouteFilter(tables=2)
    assert RouteFilter(tables=1) != 1


def test_operators_keep_expressions_short():
    """Levels that say nothing are left out."""
    a, b, c = (RouteFilter(tables=n) for n in (1, 2, 3))

    assert a == ~~a
    assert a == a & a == a | a
    assert (a & b) & c == a & (b & c)
    assert "~RouteFilter(tables=(1,))" == repr(~a)
    assert "RouteFilter(tables=(1,)) | (RouteFilter(tables=(2,)) & ~" in repr(
        a | (b & ~c)
    )


@pytest.mark.parametrize("other", [None, 1, "x", True])
def test_operators_take_filters_only(other):
    """As Python says it."""
    with pytest.raises(TypeError):
        RouteFilter() & other
    with pytest.raises(TypeError):
        RouteFilter() | other


def test_a_filter_cannot_be_changed():
    """Nor have an attribute more, or less."""
    made = RouteFilter(tables=1)

    for name in ("tables", "_tree", "other"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(made, name, 1)
    with pytest.raises(AttributeError, match="immutable"):
        del made._tree


def test_nesting_without_end_is_refused():
    """Before it becomes anybody's stack."""
    made = RouteFilter(tables=1)
    for n in range(40):
        made = (made & RouteFilter(protocols=n)) | RouteFilter(tables=n + 2)

    with pytest.raises(InvalidParameter, match="nested too deeply"):
        made.matches(change())


# ---- arguments ----


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"destinations": "10.0.0.0/33"}, "destinations='10.0.0.0/33'"),
        ({"destinations": "10.0.0.1/8"}, "has host bits set"),
        ({"destinations": "example"}, "destinations='example' is no prefix"),
        ({"destinations": ["10.0.0.0/8", ""]}, "destinations=''"),
        ({"more_specific": True}, "more_specific=True needs destinations"),
        ({"covering": True}, "covering=True needs destinations"),
        ({"covering": "x"}, "covering='x' is no prefix"),
        ({"tables": 0}, "tables=0 is not between 1 and 4294967295"),
        ({"tables": [1, 1 << 32]}, "tables=4294967296"),
        ({"tables": "vpn"}, "tables='vpn' is none of the names known here: default"),
        ({"protocols": -1}, "protocols=-1"),
        ({"protocols": "bpg"}, "protocols='bpg' is none of the names"),
        ({"interfaces": 0}, "interfaces=0"),
        ({"interfaces": ""}, "interfaces='' is no name"),
        ({"interfaces": "a\0b"}, "is no name"),
        pytest.param(
            {"interfaces": ["lo", "\ud800"]},
            r"interfaces='\\ud800' is no name",
            marks=pytest.mark.skipif(
                sys.platform == "win32", reason="there it is some name's"
            ),
        ),
        ({"route_types": 256}, "route_types=256"),
        ({"route_types": "black"}, "route_types='black'"),
        ({"change_types": ChangeType.INITIAL}, "change_types=.*3.* is not between"),
        ({"change_types": "SNAPSHOT_END"}, "change_types='SNAPSHOT_END'"),
    ],
)
def test_impossible_values_are_named(options, words):
    """The argument, the value and what is wrong with it."""
    with pytest.raises(InvalidParameter, match=words) as caught:
        RouteFilter(**options)

    assert 87 == caught.value.code
    assert "RouteFilter" == caught.value.call


@pytest.mark.parametrize("name", ["destinations", "more_specific", "covering"])
@pytest.mark.parametrize("text", ["10.0.0.1/8", "2001:db8::1/32"])
def test_an_address_with_its_network_is_no_prefix(name, text):
    """An object is refused in the words in which its text is.

    Broken was: the error was a bare ValueError that named no argument.
    """
    for value in (ipaddress.ip_interface(text), text):
        with pytest.raises(InvalidParameter) as caught:
            RouteFilter(**{name: [value]})

        said = f"{name}={value!r} is no prefix ({text} has host bits set)"
        assert said == caught.value.detail


def test_an_address_with_its_network_may_be_a_prefix():
    """If it has no bits beyond the length."""
    for text in ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"):
        made = RouteFilter(destinations=ipaddress.ip_interface(text))

        assert RouteFilter(destinations=text) == made


@pytest.mark.parametrize("name", ["destinations", "more_specific", "covering"])
@pytest.mark.parametrize(
    "value",
    [
        "fe80::1%nosuch",
        "fe80::%nosuch/64",
        ipaddress.ip_address("fe80::1%nosuch"),
        ipaddress.ip_network("fe80::%nosuch/64"),
        ipaddress.ip_interface("fe80::1%nosuch/128"),
    ],
    ids=str,
)
def test_a_prefix_with_a_zone_is_refused(name, value):
    """Whatever it is written as; the error says where the interface goes.

    Broken was: it was taken and the zone ignored, so rows of every interface
    matched.
    """
    with pytest.raises(InvalidParameter) as caught:
        RouteFilter(**{name: ["10.0.0.0/8", value]})

    said = f"{name}={value!r} has a zone, 'nosuch': give the interface as interfaces="
    assert said == caught.value.detail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("destinations", value) for value in (5, b"10.0.0.0/8", [5], 1.5)),
        *(("tables", value) for value in (1.5, True, [None], b"1")),
        *(("interfaces", value) for value in (1.5, False, [b"lo"])),
        *(("more_specific", value) for value in (5, [True])),
    ],
)
def test_values_of_another_type_are_type_errors(name, value):
    """Named as well."""
    with pytest.raises(TypeError, match=rf"RouteFilter\({name}="):
        RouteFilter(**{name: value})


def test_keywords_only():
    """What stands first would be anybody's guess."""
    with pytest.raises(TypeError):
        RouteFilter("10.0.0.0/8")


def test_iterables_of_every_kind():
    """Read once."""
    made = RouteFilter(tables=(n for n in range(1, 4)), protocols={4}, interfaces=[])

    assert RouteFilter(tables=[1, 2, 3], protocols=4, interfaces=()) == made


@pytest.mark.parametrize(
    "raw", [b"", b"x", b"t", b"t\1\0\0\0", b"&\xff\xff\xff\xff", b"=\0\0\0\0more"]
)
def test_the_native_layer_believes_nothing(raw):
    """Bytes that are no filter are refused."""
    with pytest.raises(InvalidParameter):
        routenotify._routenotify.Filter(raw)


@pytest.mark.parametrize("row", [None, 1, "10.0.0.0/8"])
def test_matches_takes_rows_only(row):
    """And says so."""
    with pytest.raises(TypeError, match="RouteChange or Route expected"):
        RouteFilter().matches(row)


def test_matches_an_interface_that_does_not_exist():
    """By name, looked up now."""
    with pytest.raises(InvalidParameter, match="interfaces='nosuch0' does not exist"):
        RouteFilter(interfaces="nosuch0").matches(change())


@pytest.mark.parametrize("filter", [1, "x", {}, routenotify.RouteMonitor])
def test_a_monitor_takes_a_filter_only(filter):
    """Not what a filter could be made of."""
    with pytest.raises(TypeError, match=r"RouteMonitor\(filter="):
        routenotify.RouteMonitor(filter=filter)


# ---- explain ----


def explained(made):
    """The kernel's part and C's part."""
    head, _, rest = made.explain().partition("in C, before")
    return head, rest


@pytest.mark.skipif(not LINUX, reason="only Linux has a filter in the kernel")
@pytest.mark.parametrize(
    ("made", "kernel", "rest"),
    [
        (RouteFilter(tables=100), "tables: 100", "the same again"),
        (RouteFilter(tables=100, protocols="bgp"), "tables: 100", "protocols: 186"),
        (RouteFilter(tables=100) | RouteFilter(protocols=4), "nothing", "tables: 100"),
        (~RouteFilter(tables=255), "tables: 255", "the same again"),
        (RouteFilter(protocols="bgp"), "nothing", "protocols: 186"),
        (RouteFilter(interfaces="wg0"), "nothing", "interfaces: wg0"),
        (
            RouteFilter(destinations="10.0.0.0/8"),
            "destinations: 10.0.0.0/8 (IPv4, by address)",
            "destinations: 10.0.0.0/8 (length)",
        ),
        (
            RouteFilter(more_specific=["10.0.0.0/8", "fd00::/8"]),
            "more_specific: 10.0.0.0/8 (IPv4, by address)",
            "more_specific: 10.0.0.0/8, fd00::/8",
        ),
    ],
)
def test_explain_says_what_the_kernel_decides_and_what_c(made, kernel, rest):
    """Where a term is decided, by the very program that decides it."""
    head, tail = explained(made)

    assert kernel in head
    assert rest in tail
    assert ("nothing" in kernel) == ("instructions" not in head)


@pytest.mark.skipif(not LINUX, reason="only Linux has a filter in the kernel")
def test_explain_says_that_there_are_too_many_prefixes():
    """Then C decides alone, or with what else the kernel can tell."""
    many = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(10_000)]
    head, tail = explained(RouteFilter(destinations=many))

    assert "10000 destinations are too many: C decides" in head
    assert "(10000 in all)" in tail
    assert "tables: 7" in explained(RouteFilter(destinations=many, tables=7))[0]


@pytest.mark.skipif(not LINUX, reason="only Linux has a filter in the kernel")
def test_explain_says_that_all_together_is_too_large():
    """Of terms the kernel could be given, each for itself.

    Broken was: it said that nothing told the kernel that a route cannot match.
    """
    made = ~RouteFilter()
    for i in range(20):
        tables = range(1000 * i + 1, 1000 * i + 201)
        made |= RouteFilter(tables=tables, protocols=4)
    head, tail = explained(made)

    assert "nothing (too large for a program of 2048 instructions: C decides)" in head
    assert "(200 in all)" in tail


@pytest.mark.skipif(not LINUX, reason="only Linux has a filter in the kernel")
@pytest.mark.parametrize(
    ("made", "dropped", "rest"),
    [
        (
            RouteFilter(more_specific="2001:db8::/32"),
            ["IPv4"],
            ["more_specific: 2001:db8::/32"],
        ),
        (
            RouteFilter(destinations=[]) | RouteFilter(destinations="fd00::/8"),
            ["IPv4"],
            ["destinations: none", "destinations: fd00::/8"],
        ),
        (RouteFilter(destinations=[]), ["IPv4", "IPv6"], []),
        (RouteFilter(tables=[], protocols=4), ["IPv4", "IPv6"], []),
        (~RouteFilter(), ["IPv4", "IPv6"], []),
    ],
    ids=repr,
)
def test_explain_names_a_family_that_never_matches(made, dropped, rest):
    """The kernel drops it as a whole.

    Broken was: a number of instructions with nothing under it.
    """
    head, tail = explained(made)
    told = [f"    {name}: nothing matches, all are dropped" for name in dropped]

    assert told == head.splitlines()[2:]
    assert rest == [line.strip() for line in tail.splitlines()[1:]]
    assert ("the same again" in tail) == (not rest)


@pytest.mark.skipif(LINUX, reason="Linux has a filter in the kernel")
def test_elsewhere_explain_says_that_c_decides():
    """In the system's callback."""
    head, tail = explained(RouteFilter(destinations="10.0.0.0/8"))

    assert "nothing" in head
    assert "destinations: 10.0.0.0/8" in tail


def test_filters_leak_nothing():
    """Made, joined, compiled and refused many times in a fresh interpreter."""
    code = """if True:
    import gc, sys
    import routenotify
    from routenotify import RouteFilter
    def once():
        one = RouteFilter(destinations=["10.0.0.0/8"], tables=[1, 2])
        both = one & ~RouteFilter(protocols=4)
        both.explain()
        for bad in (b"t", b"&", b"=\\1\\0\\0\\0"):
            try:
                routenotify._routenotify.Filter(bad)
            except routenotify.InvalidParameter:
                pass
    def used():
        for _ in range(100):
            once()
        gc.collect()
        return sys.getallocatedblocks()
    used()
    first = used()
    last = max(used() for _ in range(5))
    assert last - first < 50, (first, last)
    """
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60)
