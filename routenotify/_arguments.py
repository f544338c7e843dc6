"""Arguments that the facade checks itself, in the words the extension uses."""

from __future__ import annotations

import math
from typing import Final

from routenotify._errors import ERROR_INVALID_PARAMETER, InvalidParameter

_LONGEST: Final = 1e9  # seconds; 31 years


def seconds_or_none(value: object, name: str, call: str) -> float | None:
    """A time from an argument; None stands for ever.

    Raises:
        TypeError: It is no number.
        InvalidParameter: It is negative, NaN or above 1e9.
    """
    return None if value is None else seconds(value, name, call, " or None")


def at_least_one(value: object, name: str, call: str) -> int | None:
    """A count from an argument; None stands for any number.

    Raises:
        TypeError: It is no int.
        InvalidParameter: It is below 1.
    """
    if value is None:
        return None
    if not isinstance(value, int):
        raise TypeError(
            f"{call}({name}={value!r}): an int or None expected, got {type(value)}"
        )
    if value < 1:
        detail = f"{name}={value!r} is less than 1"
        raise InvalidParameter(ERROR_INVALID_PARAMETER, call, detail)
    return value


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
        raise TypeError(
            f"{call}({name}={value!r}): a number of seconds{more} expected, "
            f"got {type(value)}"
        ) from None
    if 0 <= result <= _LONGEST:
        return result
    why = (
        "is not a number"
        if math.isnan(result)
        else "is negative"
        if result < 0
        else "is too long (at most 1e9 seconds)"
    )
    raise InvalidParameter(ERROR_INVALID_PARAMETER, call, f"{name}={value!r} {why}")
