"""X-Forwarded-*: believed of the proxies that were named, and of nobody before them."""

import pytest

from crdt_chat.config import BadSetting
from crdt_chat.server.access.proxies import Proxies


def seen(named, client, *forwarded, proto=(), scheme="http"):
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    headers += [(b"x-forwarded-proto", line.encode()) for line in proto]
    scope = {"type": "http", "scheme": scheme, "client": (client, 1), "headers": headers}
    found = Proxies(named).seen_through(scope)
    return found["client"][0], found["scheme"]


@pytest.mark.parametrize(
    ("named", "client", "forwarded", "expected"),
    [
        ([], "10.0.0.1", ["203.0.113.9"], "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.2", ["203.0.113.9"], "10.0.0.2"),
        (["10.0.0.1"], "10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        (["10.0.0.1"], "::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", ["127.0.0.1, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", ["127.0.0.1", "203.0.113.9"], "203.0.113.9"),
        (["10.0.0.1"], "10.0.0.1", ["spoofed"], "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", [], "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        (["10.0.0.1"], "unix", ["203.0.113.9"], "unix"),
    ],
)
def test_whose_address_counts(named, client, forwarded, expected):
    assert seen(named, client, *forwarded)[0] == expected


@pytest.mark.parametrize(
    ("proto", "scheme", "expected"),
    [(["https"], "http", "https"), (["https"], "ws", "wss"), (["http"], "http", "http"),
     (["https, http"], "http", "http"), (["gopher"], "http", "http"), ([], "ws", "ws")],
)  # fmt: skip
def test_whose_scheme_counts(proto, scheme, expected):
    assert seen(["10.0.0.1"], "10.0.0.1", proto=proto, scheme=scheme)[1] == expected
    assert seen([], "10.0.0.1", proto=proto, scheme=scheme)[1] == scheme


def test_a_proxy_that_is_no_address_is_told():
    with pytest.raises(BadSetting, match="proxies"):
        Proxies(["my-proxy"])
