"""What waits for the thread that it belongs to, and for how long."""

from crdt_chat.client.orphans import Orphans
from crdt_chat.client.replica import Replica
from crdt_chat.client.unsaved import GONE, UNKNOWN
from crdt_chat.page.verdict import Refusal

THREAD = ("annotations", "a", {"creator": "ada"})
COMMENT = ("comments", "a/1", {"body": "x"})
REACTION = ("reactions", "a/1/👍/bob", {"at": 1})


def page(*operations):
    replica = Replica()
    replica.write(operations)
    return replica.mirror


def test_what_belongs_to_nothing_waits_for_its_thread_and_is_found_once():
    orphans = Orphans()
    assert orphans.sort_out([COMMENT, REACTION], page()) == []
    assert orphans.found(page()) == []
    there = page(THREAD)
    assert orphans.found(there) == [COMMENT, REACTION]
    assert orphans.found(there) == []


def test_what_comes_with_its_thread_or_stands_alone_need_not_wait():
    resolved = ("resolved", "b", {"by": "ada"})
    operations = [THREAD, COMMENT, REACTION, resolved]
    assert Orphans().sort_out(operations, page()) == operations


def test_a_reaction_waits_for_its_comment_too():
    orphans = Orphans()
    assert orphans.sort_out([REACTION], page(THREAD)) == []
    assert orphans.found(page(THREAD, COMMENT)) == [REACTION]


def test_only_what_was_given_up_as_unknown_waits():
    orphans = Orphans()
    unknown = Refusal("comments/a/1", UNKNOWN.rule, UNKNOWN.reason)
    gone = Refusal("comments/b/1", GONE.rule, GONE.reason)
    assert orphans.adopt([(unknown, COMMENT[2]), (gone, {})]) == [(gone, {})]
    assert orphans.found(page(THREAD)) == [COMMENT]
