"""A filter as it is typed: 192.0.2.0/24 dev eth0 proto bgp table 77."""

from __future__ import annotations

from routenotify import RouteFilter
from routenotify._cli._options import UsageError
from routenotify._errors import ERROR_INVALID_PARAMETER, InvalidParameter

GRAMMAR = "PREFIX ...  dev NAME  proto NAME  table NAME"

#: What is typed before a name, and what that is to a RouteFilter.
KEYWORDS = {"dev": "interfaces", "proto": "protocols", "table": "tables"}


def filter_of(words: list[str]) -> RouteFilter | None:
    """Return what words ask for; None if there are none.

    Args:
        words: prefixes, for these and what lies inside them; `dev`, `proto` and
            `table`, each with a name or number after it.  Several of a kind are
            alternatives, different kinds all have to match.

    Raises:
        UsageError: a word is none of these; the message says which.
    """
    if not words:
        return None
    given: dict[str, list[str | int]] = {}
    rest = iter(words)
    for word in rest:
        keyword = KEYWORDS.get(word, "more_specific")
        value = word if word not in KEYWORDS else next(rest, None)
        if value is None:
            raise UsageError(
                ERROR_INVALID_PARAMETER, "filter", f"{word!r} needs a name after it"
            )
        number = value.isascii() and value.isdigit() and word in KEYWORDS
        given.setdefault(keyword, []).append(int(value) if number else value)
    try:
        return RouteFilter(**given)  # type: ignore[arg-type]
    except InvalidParameter as error:
        raise UsageError(error.code, error.call, error.detail) from None
