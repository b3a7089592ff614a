"""Whose a token is and how long it lasts, as far as its bearer can see."""

import base64
import json
from typing import Any

import anyio
import pytest

from crdt_chat.client.credentials import EARLY_S, Credentials, claims, owner


def token(**said: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


def test_the_user_is_the_one_given_or_else_the_one_of_the_token() -> None:
    assert owner("ada", None) == "ada"
    assert owner("ada", token(sub="bob")) == "ada"
    assert owner(None, token(sub="büb")) == "büb"


@pytest.mark.parametrize(
    "given", [None, "", "a.b.c", "abc", token(), token(sub=1), lambda: token(sub="x")]
)
def test_nobody_is_a_mistake(given: Any) -> None:
    with pytest.raises(ValueError, match="a user is needed"):
        owner(None, given)


@pytest.mark.parametrize(
    "broken", ["", ".", "..", "a.b.c", "a.!!.c", "e30.W10.x", "e30.ew.x", "é.é.é"]
)
def test_what_is_no_token_says_nothing(broken: str) -> None:
    assert claims(broken) == {}


def test_only_a_token_that_can_be_replaced_is_replaced_in_time() -> None:
    async def lasting(given: Any) -> float | None:
        credentials = Credentials(given, lambda: 1000.0)
        await credentials.headers()
        return credentials.lasts()

    assert anyio.run(lasting, lambda: token(exp=2000)) == 1000 - EARLY_S
    assert anyio.run(lasting, lambda: token(exp=999)) == 0
    assert anyio.run(lasting, lambda: token()) is None
    assert anyio.run(lasting, token(exp=2000)) is None
    assert anyio.run(lasting, None) is None


def test_a_token_goes_into_a_header_and_is_asked_for_each_time() -> None:
    given = iter(["one", "two"])

    async def headers() -> list[dict[str, str]]:
        credentials = Credentials(lambda: next(given))
        return [await credentials.headers(), await credentials.headers()]

    assert anyio.run(headers) == [{"Authorization": "Bearer one"}, {"Authorization": "Bearer two"}]
    assert anyio.run(Credentials(None).headers) == {}
