"""Tenants and pages with hostile names on a real server: by socket, by `/sub`, by ticket, by command line."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote, urlencode

import httpx
import pytest
from entries import annotation
from raw_client import RawClient
from server import RealServer, running_server
from trusted import TrustedServer, token, trusted
from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

__all__ = ["trusted"]

TENANTS = ("a:b", "a", "a/b", "a%2Fb", "..", "A", "а", "á", "x" * 64, "'; --", "🦉", "*")
PAGES = (
    "c", "b:c", "b", "b/c", "b%2Fc", "..", ".", "../a", "a/../b", "/", "//", " c", "c ", "C", "с", "c\u0301",
    "c\u200b", "c\u202e", "%00", "*", "[c]", "c?x", "c#x", "'; DROP TABLE page; --", "__proto__",
    "x" * 2_048, "🦉",
)  # fmt: skip


@pytest.fixture(scope="module")
def open_tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with running_server(tmp_path_factory.mktemp("tenants"), tenants=TENANTS) as running:
        yield running


@contextmanager
def on(server: RealServer, tenant: str, page: str) -> Iterator[RawClient]:
    """A client of this page; the names stand in the path as a browser would put them there."""
    query = urlencode({"user": "ada", "caps": "crdt-chat.1"})
    address = f"{server.ws(tenant)}/{quote(page, safe='')}?{query}"
    with connect(address, compression=None, max_size=None) as socket:
        client = RawClient(socket)
        client.handshake()
        yield client


@pytest.fixture(scope="module")
def written(open_tenants: RealServer) -> dict[tuple[str, str], str]:
    """One annotation on each page of each tenant, by name."""
    names = {}
    for number, (tenant, page) in enumerate(itertools.product(TENANTS, PAGES)):
        with on(open_tenants, tenant, page) as client:
            client.write(("annotations", f"n{number}", annotation("ada")))
            client.flush()
        names[tenant, page] = f"n{number}"
    return names


def test_every_page_has_what_was_written_there_and_nothing_else(
    open_tenants: RealServer,
    written: dict[tuple[str, str], str],
    record_property: Callable[[str, object], None],
) -> None:
    for (tenant, page), name in written.items():
        with on(open_tenants, tenant, page) as client:
            assert client.names("annotations") == {name}, (tenant, page)
    record_property("isolation: pages with hostile names", len(written))


NO_PAGES = ("x" * 2_049, "x" * 4_096, "", "%00", "c%00", "c%0A", "%7F", "c%C2%85")


@pytest.mark.parametrize("name", NO_PAGES, ids=[*"12345678"])
def test_a_page_that_cannot_be_is_no_page(open_tenants: RealServer, name: str) -> None:
    address = f"{open_tenants.ws('a')}/{name}?user=ada"
    with connect(address, compression=None) as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=PATIENCE_S)
    assert socket.close_code in (4400, 4404)


@pytest.mark.parametrize("path", ["/ws/a%00/c", "/ws/A%CC%81/c", "/ws/%C3%A1%00/c", "/ws/ａ/c", "/ws//c",
                                  "/ws/a%20/c", "/ws/" + "x" * 4_096 + "/c", "/ws/%/c"])  # fmt: skip
def test_a_tenant_that_only_looks_like_one_is_none(open_tenants: RealServer, path: str) -> None:
    address = f"{open_tenants.http.replace('http', 'ws')}{quote(path, safe='/%')}?user=ada"
    with connect(address, compression=None) as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=PATIENCE_S)
    assert socket.close_code in (4400, 4404)


def subscribed(server: RealServer, tenant: str, page: str) -> ClientConnection:
    asked = {"urlId": page, "user": "bob"}
    url = f"{server.http}/comment-collab-chats/{quote(tenant, safe='')}"
    answer = httpx.get(url, params=asked)
    assert answer.status_code == 200, (tenant, page, answer.text)
    said = {
        "tenantIdWS": tenant,
        "urlId": answer.json()["urlIdWS"],
        "userIdWS": answer.json()["userIdWS"],
    }
    return connect(f"{server.http.replace('http', 'ws')}/sub?{urlencode(said)}", compression=None)


def test_a_subscriber_hears_of_her_page_only(open_tenants: RealServer) -> None:
    # Legacy addresses take no tenant with a slash in its name.
    pairs = [("a:b", "c"), ("a", "b:c"), ("a", "b/c"), ("a%2Fb", "c"), ("A", "c"), ("а", "c"),
             ("a", "c"), ("a", "C"), ("a", "c "), ("a", "с"), ("a", ".."), ("*", "*"), ("a", "*"),
             ("🦉", "🦉"), ("á", "c\u0301")]  # fmt: skip
    with ExitStack() as stack:
        sockets = [stack.enter_context(subscribed(open_tenants, *pair)) for pair in pairs]
        for number, pair in enumerate(pairs):
            with on(open_tenants, *pair) as client:
                client.write(
                    ("annotations", f"heard{number}x", annotation("ada", f"heard{number}x"))
                )
                client.flush()
        for number, socket in enumerate(sockets):
            frames: list[str] = []
            while not frames or f"heard{number}x" not in frames[-1]:
                try:
                    frames.append(str(socket.recv(timeout=PATIENCE_S)))
                except TimeoutError:
                    raise AssertionError((pairs[number], frames)) from None
            assert len([frame for frame in frames if "heard" in frame]) == 1, pairs[number]


def test_legacy_requests_with_hostile_names_answer_for_their_page_only(
    open_tenants: RealServer, written: dict[tuple[str, str], str]
) -> None:
    """The history of one page, asked for under every tenant's name."""
    http = httpx.Client()
    for tenant, page in itertools.product(TENANTS, PAGES[:14]):
        url = f"{open_tenants.http}/comment-collab-chats/{quote(tenant, safe='')}"
        answer = http.get(url, params={"urlId": page, "user": "bob"})
        if tenant in ("a/b", ".."):
            # Legacy addresses have no place for such a tenant: another page, or none.
            assert not set(answer.text.split('"')) & set(written.values())
            continue
        name = written[tenant, page]
        told = set(answer.text.split('"')) & set(written.values())
        assert told == {name}, (tenant, page)
    http.close()


# Tickets and tokens


def ticket(server: TrustedServer, tenant: str, page: str) -> str:
    answer = httpx.post(
        f"{server.http}/api/v1/tickets",
        params={"tenant": tenant},
        headers={"authorization": f"Bearer {token(tenant)}"},
        json={"page": page},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


@pytest.mark.parametrize(
    ("made_for", "used_on"),
    [(("acme", "b:c"), ("acme", "b")), (("acme", "b/c"), ("acme", "b%2Fc")), (("acme", "*"), ("acme", "c")),
     (("acme", "c"), ("acme", "C")), (("acme", "c"), ("acme", "c ")), (("acme", "c"), ("acme", "с")),
     (("acme", "c"), ("other", "c")), (("acme", "../c"), ("acme", "c"))],
)  # fmt: skip
def test_a_ticket_opens_exactly_its_page(
    trusted: TrustedServer, made_for: tuple[str, str], used_on: tuple[str, str]
) -> None:
    said = {"query": {"ticket": ticket(trusted, *made_for)}}
    assert trusted.refused(quote(used_on[1], safe=""), used_on[0], **said) == 4401
    said = {"query": {"ticket": ticket(trusted, *made_for)}}
    with trusted.client(quote(made_for[1], safe=""), made_for[0], **said) as client:
        client.handshake()


@pytest.mark.parametrize(
    ("globs", "page", "opens"),
    [(["[ab]"], "a", False), (["[ab]"], "[ab]", True), (["?"], "a", False), (["?"], "?", True),
     (["a*"], "a/../b", True), (["a/*"], "a", False), (["a"], "A", False),
     ([".*"], "a", False), (["a|b"], "b", False), ([""], "a", False), (["*"], "%00", True),
     (["docs/*"], "docs/../private", True), (["docs/*"], "docs%2Fa", False)],
)  # fmt: skip
def test_the_pages_of_a_token_are_texts_with_stars(
    trusted: TrustedServer, globs: list[str], page: str, opens: bool
) -> None:
    headers = {"authorization": f"Bearer {token(pages=globs)}"}
    with trusted.client(quote(page, safe=""), additional_headers=headers) as client:
        if opens:
            client.handshake()
        else:
            assert client.closed() in (4401, 4403)


# The command line


def run(server: TrustedServer | RealServer, *words: str) -> subprocess.CompletedProcess[str]:
    db = server.db if isinstance(server, RealServer) else server.running.db
    return subprocess.run(
        [sys.executable, "-m", "crdt_chat", *words, "--db", str(db)],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["a:b", "../x", "a/b", "А", "x" * 4_096, "", "a\nb", "%2F", "a\u202eb"]
)
def test_a_tenant_that_may_be_mistaken_is_not_added(trusted: TrustedServer, name: str) -> None:
    done = run(trusted, "tenant", "add", "--", name)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2, done.stderr


def test_an_erasure_by_command_takes_the_page_that_it_names(
    open_tenants: RealServer, written: dict[tuple[str, str], str]
) -> None:
    done = run(open_tenants, "erase", "a", "--page", "b:c", "--json")
    assert done.returncode == 0, done.stderr
    for tenant, page in (
        ("a:b", "c"),
        ("a", "b"),
        ("a", "b/c"),
        ("a/b", "c"),
        ("A", "b:c"),
        ("а", "b:c"),
    ):
        with on(open_tenants, tenant, page) as client:
            assert written[tenant, page] in client.names("annotations"), (tenant, page)
    with on(open_tenants, "a", "b:c") as client:
        assert client.names("annotations") == set()


def test_an_export_by_command_holds_pages_of_its_tenant_only(
    open_tenants: RealServer, written: dict[tuple[str, str], str]
) -> None:
    for tenant in ("a:b", "..", "*"):
        done = run(open_tenants, "export", tenant, "--user", "ada")
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout)["pages"]) == set(PAGES), tenant
        told = set(done.stdout.split('"')) & set(written.values())
        assert told == {name for (owner, _), name in written.items() if owner == tenant}


def test_a_page_closed_by_command_is_the_one_that_was_named(open_tenants: RealServer) -> None:
    done = run(open_tenants, "moderate", "a:b", "--page", "b/c", "--close", "page")
    assert done.returncode == 0, done.stderr
    for tenant, page in (("a:b", "b%2Fc"), ("a", "b/c"), ("a/b", "c"), ("a:b", "b")):
        with on(open_tenants, tenant, page) as client:
            assert client.names("closed") == set(), (tenant, page)
    with on(open_tenants, "a:b", "b/c") as client:
        assert client.names("closed") == {"page"}


@pytest.mark.parametrize(
    "words",
    [("token", "a:b", "--user", "x" * 5_000), ("token", "nobody\n", "--user", "ada"),
     ("moderate", "a", "--page", "x" * 4_096), ("moderate", "../a", "--page", "c"),
     ("revoke", "a/../b", "--user", "ada"), ("erase", "nobody:a", "--page", "c"),
     ("export", "A\u0301", "--user", "ada"), ("tenant", "show", "a%00"), ("tenant", "remove", "a/keys/k1")],
)  # fmt: skip
def test_a_verb_with_a_name_that_is_none_says_so_in_a_sentence(
    open_tenants: RealServer, words: tuple[str, ...]
) -> None:
    done = run(open_tenants, *words)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2, done.stderr
