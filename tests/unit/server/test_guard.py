"""The guard: who may no longer be here is closed, then cut off; others notice nothing."""

import itertools
from dataclasses import dataclass, replace

import pytest

from crdt_chat.config import Config, KeySettings, TenantSettings
from crdt_chat.errors import Forbidden, Malformed, RemoteFault, Restarting, Unauthorized
from crdt_chat.identity import Grant, PageKey, Role
from crdt_chat.server.access import tokens
from crdt_chat.server.access.asked import Asked
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.access.guard import CUT_OFF_S, SPARE, Guard
from crdt_chat.server.access.revocations import Revocations
from crdt_chat.server.access.tenants import Tenants
from crdt_chat.server.access.tickets import Tickets
from crdt_chat.server.admin.administration import Administration, Caller
from crdt_chat.server.audit.denials import Denials
from store.memory import MemoryStore
from store.tenants import RevocationRow, RoleRow

START = 1_800_000_000
PAGE = PageKey("acme", "p")
SECRET = "a" * 40
ADA = Grant("acme", "ada", "Ada", Role.EDITOR, None, ("*",), START + 60, START, "k1", "j1")


class Time:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.seconds = float(START)

    def ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


@dataclass(eq=False)
class Session:
    grant: Grant
    fault: RemoteFault | None = None
    cut: bool = False

    def regrant(self, grant: Grant) -> None:
        self.grant = grant

    def close(self, fault: RemoteFault) -> None:
        self.fault = self.fault or fault

    def abort(self) -> None:
        self.cut = True


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def authority(time) -> Authority:
    keys = (KeySettings("k1", "HS256", SECRET),)
    config = Config(
        tenants=(
            TenantSettings("acme", keys=keys),
            TenantSettings("club", anonymous="commenter"),
        ),
        open_tenants=("lab",),
    )
    numbers = itertools.count(1)
    tickets = Tickets(time.monotonic, lambda: next(numbers).to_bytes(32, "big"))
    new_id = lambda: f"id-{next(numbers)}"  # noqa: E731
    return Authority(
        Tenants(config), Revocations(), tickets, b"s" * 32, time.ms, new_id, Denials(20)
    )


@pytest.fixture
def guard(authority, time) -> Guard:
    return Guard(authority, time.monotonic)


def token(authority: Authority, **changed) -> str:
    grant = replace(ADA, **changed)
    return tokens.sign(tokens.claims_of(grant, "crdt-chat"), authority.tenant("acme").keys["k1"])


def test_expiry_closes_and_then_cuts_off(guard, time):
    session, other = Session(ADA), Session(replace(ADA, user="bob", expires=START + 90))
    with guard.watch(session, PAGE, session.abort), guard.watch(other, PAGE, other.abort):
        time.seconds += 59.9
        guard.tick()
        assert session.fault is None
        time.seconds += 0.1
        guard.tick()
        assert isinstance(session.fault, Unauthorized)
        assert not session.cut
        time.seconds += CUT_OFF_S
        guard.tick()
        assert session.cut
        assert other.fault is None
        assert not other.cut
    assert len(guard) == 0


def test_deadlines_of_those_who_left_or_brought_fresh_tokens_are_not_kept(authority, guard, time):
    session = Session(ADA)
    with guard.watch(session, PAGE):
        for number in range(2 * SPARE):
            guard.renew(session, token(authority, expires=START + 1_000_000 + number))
            with guard.watch(Session(replace(ADA, user="bob", expires=START + 1e9)), PAGE):
                pass
            assert len(guard._deadlines) <= SPARE + 4
        guard.renew(session, token(authority, expires=START + 120))
        time.seconds += 120
        guard.tick()
        assert isinstance(session.fault, Unauthorized)


def test_who_is_dismissed_is_told_and_then_cut_off(guard, time):
    session, ending = Session(replace(ADA, expires=None)), Session(replace(ADA, user="bob"))
    with guard.watch(ending, PAGE, ending.abort):
        time.seconds += 60
        guard.tick()
        with guard.watch(session, PAGE, session.abort):
            guard.dismiss(Restarting("come again"))
            assert isinstance(session.fault, Restarting)
            assert not session.cut
            # Who was to end before is told that, and not to come again.
            assert isinstance(ending.fault, Unauthorized)
            time.seconds += CUT_OFF_S
            guard.tick()
            assert session.cut


def test_one_who_leaves_in_time_is_not_cut_off(guard, time):
    session = Session(ADA)
    with guard.watch(session, PAGE, session.abort):
        time.seconds += 60
        guard.tick()
    time.seconds += 60
    guard.tick()
    assert not session.cut


@pytest.mark.parametrize(
    ("row", "ends"),
    [
        (RevocationRow("acme", "token", "j1", START * 1000, id=1), True),
        (RevocationRow("acme", "token", "j2", START * 1000, id=1), False),
        (RevocationRow("acme", "user", "ada", START * 1000, id=1), True),
        (RevocationRow("acme", "user", "ada", START * 1000 - 1, id=1), False),
        (RevocationRow("acme", "user", "bob", START * 1000, id=1), False),
        (RevocationRow("acme", "tenant", "acme", START * 1000, id=1), True),
        (RevocationRow("other", "user", "ada", START * 1000, id=1), False),
    ],
)
def test_a_revocation_ends_what_it_names(guard, authority, row, ends):
    session = Session(ADA)
    with guard.watch(session, PAGE):
        authority.revocations.add(row)
        guard.review("acme")
        assert (session.fault is not None) is ends
    authority.revocations.drop(1)
    assert authority.reconsider(ADA) == ADA


def test_what_was_revoked_before_the_watch_began_ends_at_once(guard, authority):
    authority.revocations.add(RevocationRow("acme", "token", "j1", START * 1000, id=1))
    session = Session(ADA)
    with guard.watch(session, PAGE):
        assert isinstance(session.fault, Unauthorized)


def test_a_role_by_hand_counts_at_once_and_the_tokens_again_afterwards(guard, authority):
    session = Session(ADA)
    with guard.watch(session, PAGE):
        authority.revocations.adopt([], [RoleRow("acme", "ada", "viewer")])
        guard.review("acme")
        assert session.grant.role is Role.VIEWER
        authority.revocations.adopt([], [])
        guard.review("acme")
        assert session.grant.role is Role.EDITOR


def test_a_fresh_token_moves_the_deadline(guard, authority, time):
    session = Session(ADA)
    with guard.watch(session, PAGE):
        fresh = token(authority, expires=START + 120, role=Role.COMMENTER)
        guard.renew(session, fresh)
        assert session.grant.role is Role.COMMENTER
        time.seconds += 61
        guard.tick()
        assert session.fault is None
        time.seconds += 60
        guard.tick()
        assert session.fault is not None


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"user": "bob"}, Forbidden),
        ({"pages": ("q",)}, Forbidden),
        ({"expires": START}, Unauthorized),
    ],
)
def test_a_fresh_token_for_something_else_is_refused(guard, authority, changed, fault):
    session = Session(ADA)
    with guard.watch(session, PAGE), pytest.raises(fault):
        guard.renew(session, token(authority, **changed))
    assert session.grant == ADA


@pytest.mark.parametrize("said", [None, 7, [], {}])
def test_what_is_no_token_is_malformed(guard, said):
    session = Session(ADA)
    with guard.watch(session, PAGE), pytest.raises(Malformed):
        guard.renew(session, said)


def test_a_visitor_is_the_same_by_her_cookie_and_her_role_is_the_tenants(authority):
    first = authority.grant("club", Asked(user="ada", name="Ann"))
    assert first.user.startswith("anon:")
    assert (first.name, first.role) == ("Ann", Role.COMMENTER)
    name, _, value = authority.cookie(first, secure=True).split(";")[0].partition("=")
    again = authority.grant("club", Asked(cookies={name: value}))
    assert again.user == first.user
    for cookies in ({name: value[:-5] + "AAAAA"}, {name: ""}, {"another": value}):
        assert authority.grant("club", Asked(cookies=cookies)).user != first.user


def test_a_visitors_cookie_is_no_admission_elsewhere(authority):
    first = authority.grant("club", Asked())
    token = authority.sign_own(first)
    for tenant in ("acme", "lab"):
        with pytest.raises(Unauthorized):
            authority.grant(tenant, Asked(token=token))


def test_a_session_token_holds_as_long_as_what_vouched_for_it(authority):
    session = authority.session(ADA)
    assert authority.grant("acme", Asked(token=session)).key == "k1"
    authority.revocations.add(RevocationRow("acme", "token", "j1", START * 1000, id=1))
    with pytest.raises(Unauthorized):
        authority.grant("acme", Asked(token=session))


def test_what_an_open_tenant_believed_ends_when_it_is_closed(authority):
    grant = authority.grant("lab", Asked(user="ada"))
    authority.tenants.config = replace(authority.config, open_tenants=())
    with pytest.raises(Unauthorized):
        authority.reconsider(grant)


def test_an_open_tenant_without_keys_ignores_tokens_that_are_not_ours(authority):
    assert authority.grant("lab", Asked(user="ada", token="somebody.elses.token")).user == "ada"
    assert authority.grant("lab", Asked(user="ada", token="x")).user == "ada"


def test_the_demo_is_for_this_machine_unless_it_is_opened(authority):
    authority.tenants.config = replace(authority.config, demo=True)
    assert authority.grant("demo", Asked(user="ada", local=True)).user == "ada"
    with pytest.raises(RemoteFault, match="no such tenant"):
        authority.grant("demo", Asked(user="ada"))
    here, elsewhere = ("http://127.0.0.1:8700",), ("https://evil.example",)
    assert authority.grant("demo", Asked(user="ada", local=True, origins=here)).user == "ada"
    with pytest.raises(Forbidden):
        authority.grant("demo", Asked(user="ada", local=True, origins=elsewhere))
    authority.tenants.config = replace(authority.config, open_tenants=("demo",))
    assert authority.grant("demo", Asked(user="ada")).user == "ada"


@pytest.mark.anyio
async def test_who_is_here_when_the_servers_secret_is_renewed_has_to_come_again(authority, guard):
    visitor = authority.new_visitor("club", "Eve")
    ticket = authority.tickets.issue(visitor, None)
    session = Session(visitor)
    with guard.watch(session, PageKey("club", "p")):
        administration = Administration(authority, guard, MemoryStore().trust)
        await administration.renew_secret(Caller("op", "here"))
        assert isinstance(session.fault, Restarting)
    with pytest.raises(Unauthorized):
        authority.tickets.redeem(ticket, "club", None)
