"""--listen: an address or a name, and a port."""

from __future__ import annotations

import pytest

from routenotify._cli._args import parse


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:9957", ("127.0.0.1", 9957)),
        ("[::1]:0", ("::1", 0)),
        ("[::]:65535", ("::", 65535)),
        ("localhost:80", ("localhost", 80)),
        ("metrics-1.example.org:80", ("metrics-1.example.org", 80)),
        (f"{'a' * 63}.example.:80", (f"{'a' * 63}.example.", 80)),
    ],
)
def test_listen_takes_either_family_and_names(text, meant):
    """An IPv6 address is in brackets, as in a URL."""
    assert meant == parse(["exporter", "--listen", text]).listen


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "9957", "127.0.0.1", "127.0.0.1:", "::1:80", "[::1]", "[name]:80"),
        *("[::1]80", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x", "a b:80"),
        *("127.0.0.1:٣", "..:0", ".example:80", f"{'a' * 64}:80"),
    ],
)
def test_listen_when_it_is_neither_then_it_is_named(text, capsys):
    """Status 2, with an example of what would be right.

    Of a name with an empty or an overlong label the socket module's UnicodeError
    was shown.
    """
    with pytest.raises(SystemExit) as ended:
        parse(["exporter", "--listen", text])

    assert 2 == ended.value.code
    told = capsys.readouterr().err
    assert repr(text) in told
    assert "such as 127.0.0.1:9957" in told
