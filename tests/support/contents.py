"""What a page holds as plain values, and when two of them are equal."""

import json
from collections.abc import Mapping
from typing import Any

Json = Any
Content = dict[str, dict[str, Json]]
"""The live entries of a page: {root: {key: value}}, empty roots left out."""


def plain(value: Json) -> Json:
    """The same value with integral floats as integers: JavaScript has one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def canonical(content: Mapping[str, Mapping[str, Json]]) -> str:
    """The one text of equal contents: keys sorted, integral floats as integers, no empty root."""
    kept = {root: entries for root, entries in content.items() if entries}
    return json.dumps(plain(kept), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
