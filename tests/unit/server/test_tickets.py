"""Tickets: good once, for thirty seconds, for what they were made for."""

import itertools

import pytest

from crdt_chat.errors import TryLater, Unauthorized
from crdt_chat.identity import Grant, Role
from crdt_chat.server.access.tickets import LIFETIME_S, PER_TENANT, PER_USER, Tickets

ADA = Grant("acme", "ada", "Ada", Role.EDITOR)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def tickets(time) -> Tickets:
    numbers = itertools.count()
    return Tickets(time, lambda: next(numbers).to_bytes(32, "big"))


def test_a_ticket_is_good_once(tickets):
    ticket = tickets.issue(ADA, "a")
    assert tickets.redeem(ticket, "acme", "a") == ADA
    with pytest.raises(Unauthorized):
        tickets.redeem(ticket, "acme", "a")
    assert len(tickets) == 0


def test_a_ticket_is_good_for_half_a_minute(tickets, time):
    early, late = tickets.issue(ADA, None), tickets.issue(ADA, None)
    time.now += LIFETIME_S - 0.01
    assert tickets.redeem(early, "acme", "a") == ADA
    time.now += 0.01
    with pytest.raises(Unauthorized):
        tickets.redeem(late, "acme", "a")


@pytest.mark.parametrize(("tenant", "page"), [("acme", "b"), ("other", "a"), ("acme", None)])
def test_a_ticket_for_a_page_is_for_nothing_else_and_gone_after_the_attempt(tickets, tenant, page):
    ticket = tickets.issue(ADA, "a")
    with pytest.raises(Unauthorized):
        tickets.redeem(ticket, tenant, page)
    with pytest.raises(Unauthorized):
        tickets.redeem(ticket, "acme", "a")


@pytest.mark.parametrize("ticket", ["", "x", "0" * 63, "\ud800", "é", "0" * 100_000])
def test_what_is_no_ticket_is_refused(tickets, ticket):
    tickets.issue(ADA, "a")
    with pytest.raises(Unauthorized):
        tickets.redeem(ticket, "acme", "a")


def test_one_user_cannot_fill_the_memory(tickets, time):
    for _ in range(PER_USER):
        tickets.issue(ADA, "a")
    with pytest.raises(TryLater):
        tickets.issue(ADA, "a")
    tickets.issue(Grant("acme", "bob", "Bob", Role.VIEWER), "a")
    time.now += LIFETIME_S
    tickets.issue(ADA, "a")
    assert len(tickets) == 1


def test_a_tenant_where_anybody_has_any_name_leaves_tickets_for_the_others(tickets, time):
    for number in range(PER_TENANT):
        tickets.issue(Grant("open", f"user {number}", "X", Role.VIEWER), None)
    with pytest.raises(TryLater):
        tickets.issue(Grant("open", "one more", "X", Role.VIEWER), None)
    assert tickets.redeem(tickets.issue(ADA, "a"), "acme", "a") == ADA
    time.now += LIFETIME_S
    tickets.issue(Grant("open", "one more", "X", Role.VIEWER), None)
    assert len(tickets) == 1
    tickets.clear()
    assert not tickets._tenants
