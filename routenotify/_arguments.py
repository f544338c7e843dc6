"""Arguments that the facade checks itself, in the words the extension uses.

What has the wrong type is a TypeError, what can not be right an InvalidParameter;
both name the call and the argument as the caller knows them, and the value.
"""

from __future__ import annotations

import ipaddress
import math
import operator
from typing import Final, SupportsIndex, TypeAlias

from routenotify import _routenotify
from routenotify._errors import (
    ERROR_INVALID_PARAMETER,
    InvalidParameter,
    RouteNotFound,
)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST: Final = 1e9  # seconds; 31 years


def invalid(call: str, name: str, value: object, why: str) -> InvalidParameter:
    """The error of an argument that can not be right."""
    detail = f"{name}={value!r} {why}"
    return InvalidParameter(ERROR_INVALID_PARAMETER, call, detail)


def wrong_type(call: str, name: str, value: object, expected: str) -> TypeError:
    """The error of an argument that is something else."""
    return TypeError(
        f"{call}({name}={value!r}): {expected} expected, got {type(value)}"
    )


def seconds_or_none(value: object, name: str, call: str) -> float | None:
    """A time from an argument; None stands for ever.

    Raises:
        TypeError: It is no number.
        InvalidParameter: It is negative, NaN or above 1e9.
    """
    return None if value is None else seconds(value, name, call, " or None")


def seconds(value: object, name: str, call: str, more: str = "") -> float:
    """A time from an argument.

    Raises:
        TypeError: It is no number.
        InvalidParameter: It is negative, NaN or above 1e9.
    """
    try:
        result = math.fsum((value,))  # type: ignore[arg-type]  # float() takes text
    except OverflowError:
        result = math.inf
    except (TypeError, ValueError):
        raise wrong_type(call, name, value, f"a number of seconds{more}") from None
    if 0 <= result <= _LONGEST:
        return result
    why = (
        "is not a number"
        if math.isnan(result)
        else "is negative"
        if result < 0
        else "is too long (at most 1e9 seconds)"
    )
    raise invalid(call, name, value, why)


def at_least_one(value: object, name: str, call: str) -> int | None:
    """A count from an argument; None stands for any number.

    Raises:
        TypeError: It is no int.
        InvalidParameter: It is below 1.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise wrong_type(call, name, value, "an int or None")
    number = operator.index(value)
    if number < 1:
        raise invalid(call, name, value, "is less than 1")
    return number


def refuse_zone(
    address: Address, value: object, name: str, call: str, instead: str
) -> None:
    """Refuse fe80::1%eth0: a route has no zone, and without it another is asked for.

    Args:
        address: To look at.
        value: What the caller gave.
        name: Of the argument.
        call: For errors.
        instead: The argument that takes an interface.

    Raises:
        InvalidParameter: It has a zone.
    """
    zone = address.scope_id if isinstance(address, ipaddress.IPv6Address) else None
    if zone is not None:
        why = f"has a zone, {zone!r}: give the interface as {instead}="
        raise invalid(call, name, value, why)


def addresses(call: str, instead: str, **given: object) -> tuple[bytes, bytes | None]:
    """The packed address of a destination, and of a source if there is one.

    Args:
        call: For errors.
        instead: The argument that takes an interface, which an address may not name.
        given: The two, the source may be None, by the names of the arguments.

    Raises:
        InvalidParameter: One is no address or has a zone, or they are of two
            families.
    """
    (name, value), (source_name, source) = given.items()
    target = _address(value, name, call, instead)
    if source is None:
        return target.packed, None
    origin = _address(source, source_name, call, instead)
    if origin.version != target.version:
        why = f"and {name}={value!r} differ in family"
        raise invalid(call, source_name, source, why)
    return target.packed, origin.packed


def _address(value: object, name: str, call: str, instead: str) -> Address:
    if not isinstance(value, str | Address):
        raise invalid(call, name, value, "is neither text nor an ipaddress address")
    try:
        address = ipaddress.ip_address(value) if isinstance(value, str) else value
    except ValueError:
        raise invalid(call, name, value, "is no IPv4 or IPv6 address") from None
    refuse_zone(address, value, name, call, instead)
    return address


def interface_index(value: object, name: str, call: str, *, local: bool) -> int:
    """The number of an interface from its name or number; 0 from None.

    Args:
        value: Name, number or None.
        name: Of the argument.
        call: For errors.
        local: It is of the caller's namespace, where names can be looked up.

    Raises:
        TypeError: It is none of these.
        InvalidParameter: No interface has that name, or none can that number.
    """
    if value is None:
        return 0
    if not isinstance(value, str):
        return interface_number(value, name, call, "a name, a number or None")
    if not local:
        raise invalid(call, name, value, "is a name: with netns give its number")
    try:
        if value:
            return _routenotify.interface_index(value)
    except (RouteNotFound, ValueError):  # ValueError: a NUL, half a surrogate
        pass
    raise invalid(call, name, value, "does not exist")


def interface_number(
    value: object, name: str, call: str, expected: str = "a number"
) -> int:
    """The number of an interface.

    Raises:
        TypeError: It is none.
        InvalidParameter: No interface can have it.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(call, name, value, expected)
    if not 0 < value < 1 << 32:
        raise invalid(call, name, value, "is no index")
    return value
