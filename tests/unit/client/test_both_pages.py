"""The page of scripts and the page of async programs are one from outside: their verbs cannot drift apart."""

import inspect
from typing import Any

import pytest

from crdt_chat.client.aio import AsyncPage
from crdt_chat.client.page import Page

ITERATORS = {"batch", "offline", "events"}
"""What is for `with` and `for` in one, for `async with` and `async for` in the other."""


def offered(page: type) -> dict[str, Any]:
    inside = {"__module__", "__doc__", "__dict__", "__weakref__", "__init__"}
    ends = {"__enter__", "__exit__", "__aenter__", "__aexit__"}
    found = {name: each for name, each in vars(page).items() if not name.startswith("_")}
    found |= {name: each for name, each in vars(page).items() if name.endswith("_")}
    return {name: each for name, each in found.items() if name not in inside | ends}


def test_both_offer_the_same_verbs() -> None:
    own = {"__firstlineno__", "__static_attributes__"}  # Python 3.13 and later
    assert offered(Page).keys() - offered(AsyncPage).keys() - own == {"close"}
    # What `close` of the other consists of.
    assert offered(AsyncPage).keys() - offered(Page).keys() - own == {"save", "leave", "listen"}


@pytest.mark.parametrize("name", sorted(offered(Page).keys() & offered(AsyncPage).keys()))
def test_a_verb_takes_and_gives_the_same_in_both(name: str) -> None:
    ours, theirs = offered(Page)[name], offered(AsyncPage)[name]
    if isinstance(ours, property):
        assert isinstance(theirs, property)
        ours, theirs = ours.fget, theirs.fget
    if not callable(ours):
        return
    one, other = inspect.signature(ours), inspect.signature(theirs)
    assert list(one.parameters.values()) == list(other.parameters.values())
    assert one.return_annotation == other.return_annotation or name in ITERATORS
    assert (ours.__doc__ is None) == (theirs.__doc__ is None)
