"""The URL of a page, and what is not an address."""

import pytest

from crdt_chat.client.address import Address
from crdt_chat.client.errors import fault_of
from crdt_chat.identity import PageKey


def test_the_first_slash_ends_the_tenant_and_the_rest_is_one_name() -> None:
    address = Address.parse("ws://127.0.0.1:8700/", "demo/a b/ü?&%2F", "ada@x/1", "Ada & co")
    assert address.key == PageKey("demo", "a b/ü?&%2F")
    assert address.url(None) == (
        "ws://127.0.0.1:8700/ws/demo/a%20b%2F%C3%BC%3F%26%252F"
        "?user=ada%40x%2F1&name=Ada+%26+co&caps=crdt-chat.1%2Cmoderation.1"
    )
    assert address.url(3).endswith("&caps=crdt-chat.1%2Cmoderation.1&epoch=3")


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://example.org", "ws://example.org"),
        ("https://example.org:444/chat/", "wss://example.org:444/chat"),
        ("wss://[::1]:1", "wss://[::1]:1"),
    ],
)
def test_servers_may_be_named_as_browsers_name_them(given: str, base: str) -> None:
    assert Address.parse(given, "t/p", "u").base == base


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("ws://localhost:1", True),
        ("ws://127.1.2.3", True),
        ("ws://[::1]:1", True),
        ("ws://a.b", False),
    ],
)
def test_no_proxy_is_asked_for_this_machine(url: str, loopback: bool) -> None:
    assert Address.parse(url, "t/p", "u").loopback is loopback


@pytest.mark.parametrize(
    ("url", "page", "user"),
    [
        ("127.0.0.1:8700", "t/p", "u"),
        ("ftp://host", "t/p", "u"),
        ("ws://", "t/p", "u"),
        ("ws://host/?a=b", "t/p", "u"),
        ("ws://host", "page", "u"),
        ("ws://host", "/page", "u"),
        ("ws://host", "tenant/", "u"),
        ("ws://host", "t/p", ""),
        ("ws://host", "t/p", "a\nb"),
        ("ws://host", "t/p", "u" * 256),
    ],
)
def test_what_is_no_address_is_a_value_error(url: str, page: str, user: str) -> None:
    with pytest.raises(ValueError, match=r"not the address|not a page|not a user id"):
        Address.parse(url, page, user)


def test_a_name_is_the_user_id_where_none_is_given() -> None:
    assert Address.parse("ws://host", "t/p", "u").name == "u"


def test_only_44xx_is_for_good() -> None:
    assert fault_of(1006, "") is None
    assert fault_of(4529, "") is None
    assert str(fault_of(4404, "")) == "the server closed the connection with code 4404"
    assert str(fault_of(4404, "no such tenant")) == "no such tenant"
