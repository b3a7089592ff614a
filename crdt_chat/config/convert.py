"""Text or TOML value -> the type of a setting, or ValueError with what would have been right."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def convert(kind: type, unit: str, value: object) -> Any:
    """`value` as a `kind` (bool, int, float, str, Path or tuple of names), counted in `unit`.

    Raises ValueError whose text completes the sentence "X must be ...".
    """
    wanted, conversion = CONVERSIONS[kind]
    sizes = kind is int and unit == "bytes"
    try:
        return (_size if sizes else conversion)(value)
    except (ValueError, TypeError):
        example = ", for instance 1048576 or 1MiB" if sizes else ""
        raise ValueError(f"{wanted}{example}, not {value!r}") from None


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in TRUE + FALSE:
        raise ValueError(text)
    return text in TRUE


def _int(value: object) -> int:
    # bool is an int in Python; `port = true` is a mistake all the same
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    number = int(value)
    if number < 0:
        raise ValueError(value)
    return number


def _size(value: object) -> int:
    if not isinstance(value, str):
        return _int(value)
    match = re.fullmatch(r"([0-9_]+)\s*([A-Za-z]*)", value.strip())
    if match is None or match[2].lower() not in SIZES:
        raise ValueError(value)
    return int(match[1]) * SIZES[match[2].lower()]


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(value)
    return number


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value)).expanduser()


def _names(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TypeError(value)
    names = tuple(_text(item).strip() for item in items)
    if not all(names):
        raise ValueError(value)
    return names


CONVERSIONS: dict[type, tuple[str, Callable[[object], Any]]] = {
    bool: ("true or false", _bool),
    int: ("a whole number, 0 or more", _int),
    float: ("a number, 0 or more", _float),
    str: ("some text", _text),
    Path: ("a path", _path),
    tuple: ("a list of names", _names),
}
