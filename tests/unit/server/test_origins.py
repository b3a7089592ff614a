"""Origins: a browser may use a tenant from the tenant's own sites only."""

import pytest

from crdt_chat.server.access.origins import BadDomain, admitted, is_local, parse_domains

ACME = ["acme.example", "*.acme.test", "http://intranet.acme.example:8080", "https://any.example:*"]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, True),
        ("https://acme.example", True),
        ("https://ACME.example", True),
        ("https://www.acme.example", True),
        ("https://acme.example:443", True),
        ("http://acme.example", False),
        ("https://acme.example:8443", False),
        ("https://blog.acme.example", False),
        ("https://acme.example.evil.example", False),
        ("https://evilacme.example", False),
        ("https://a.acme.test", True),
        ("https://a.b.acme.test", True),
        ("https://acme.test", False),
        ("https://evilacme.test", False),
        ("http://intranet.acme.example:8080", True),
        ("https://intranet.acme.example:8080", False),
        ("http://intranet.acme.example", False),
        ("https://any.example:1234", True),
        ("null", False),
        ("", False),
        ("file://", False),
        ("https://acme.example/", False),
        ("https://acme.example.", False),
        ("https://user@acme.example", False),
        ("https://acme.example:443:443", False),
        ("https://acme.example:99999", False),
        ("https://acme.example\x00", False),
        ("https://acme.example https://evil.example", False),
        ("https://аcme.example", False),
        ("chrome-extension://abcdef", False),
        ("http://localhost:3000", False),
        ("http://127.0.0.1", False),
    ],
)
def test_a_closed_tenant_takes_its_own_sites_and_programs(origin, expected):
    origins = [] if origin is None else [origin]
    assert admitted(origins, parse_domains(ACME), is_open=False) is expected


def test_two_origins_are_no_origin():
    twice = ["https://acme.example", "https://acme.example"]
    assert not admitted(twice, parse_domains(ACME), is_open=False)
    assert not admitted(twice, (), is_open=True)


def test_a_closed_tenant_without_domains_takes_no_browser():
    assert not admitted(["https://acme.example"], (), is_open=False)
    assert not admitted(["http://localhost"], (), is_open=False)
    assert admitted([], (), is_open=False)


@pytest.mark.parametrize(
    ("origin", "domains", "expected"),
    [
        ("https://anybody.example", [], True),
        ("null", [], True),
        ("https://anybody.example", ["acme.example"], False),
        ("null", ["acme.example"], False),
        ("https://acme.example", ["acme.example"], True),
        ("http://localhost:8700", ["acme.example"], True),
        ("http://127.0.0.1:8700", ["acme.example"], True),
        ("http://[::1]:8700", ["acme.example"], True),
        ("http://demo.localhost", ["acme.example"], True),
        ("http://localhost.evil.example", ["acme.example"], False),
        ("http://127.0.0.1.evil.example", ["acme.example"], False),
    ],
)
def test_an_open_tenant_takes_everybody_until_it_has_domains(origin, domains, expected):
    assert admitted([origin], parse_domains(domains), is_open=True) is expected


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]"])
def test_localhost_must_be_named_by_a_closed_tenant(origin):
    assert admitted([origin], parse_domains(["localhost"]), is_open=False)


def test_a_star_is_every_site_but_null():
    anywhere = parse_domains(["*"])
    assert admitted(["http://anybody.example:81"], anywhere, is_open=False)
    assert not admitted(["null"], anywhere, is_open=False)


def test_a_name_in_other_letters_is_what_browsers_send():
    assert admitted(
        ["https://xn--bcher-kva.example"], parse_domains(["bücher.example"]), is_open=False
    )


@pytest.mark.parametrize(
    "text",
    ["", "ftp://a.example", "a b", "*.", "*.example", "*", "a.example/path", "-a.example",
     "a..example", "https://", "a.example:port", "https://*", "[::g]", "a" * 300],
)  # fmt: skip
def test_a_domain_that_is_none_is_told_in_a_sentence(text):
    if text == "*":
        assert parse_domains([text])
        return
    with pytest.raises(BadDomain, match="no domain"):
        parse_domains([text])


def test_a_tenant_has_at_most_a_hundred_domains():
    with pytest.raises(BadDomain, match="at most 100"):
        parse_domains(f"a{number}.example" for number in range(101))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("[::1]", True), ("::1", True),
     ("0.0.0.0", False), ("10.0.0.1", False), ("notlocalhost", False), ("example.org", False)],
)  # fmt: skip
def test_which_hosts_are_this_machine(host, expected):
    assert is_local(host) is expected
