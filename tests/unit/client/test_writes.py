"""What each verb writes, key by key (design 3), and what it may not write."""

import json
import re
from itertools import count

import pytest

from crdt_chat.client.author import Author
from crdt_chat.client.errors import Refused
from crdt_chat.client.gestures import Passage
from crdt_chat.client.ids import fresh_id
from crdt_chat.client.lookup import NoSuchNote
from crdt_chat.client.model import User
from crdt_chat.client.peer import Peer
from crdt_chat.client.replica import Replica
from crdt_chat.page.limits import PageLimits

NOW = 1_763_000_000_000


class Desk:
    """An author without a connection, whose clock and ids are known: times 0, 1, .. after NOW."""

    def __init__(self, user: str = "ada") -> None:
        times, ids = count(NOW), count(1)
        self.peer = Peer(User(user, user), lambda: None)
        self.author = Author(self.peer, lambda: next(times), lambda: f"id{next(ids)}")

    @property
    def content(self) -> dict[str, dict[str, object]]:
        """All roots that hold something."""
        return {root: dict(values) for root, values in self.peer.mirror.roots.items() if values}

    def foreign(self, root: str, name: str, value: object) -> None:
        """Something that was written by somebody else."""
        self.peer.replica.write([(root, name, value)])


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_annotation_and_its_comment_share_time_and_broadcast_id(desk: Desk) -> None:
    desk.author.annotate(Passage("quote", "the ", " is", 4, 9), "why?", title="On quotes")
    assert desk.content == {
        "annotations": {
            "id2": {
                "creator": "ada",
                "created": NOW,
                "target": {
                    "selector": [
                        {
                            "type": "TextQuoteSelector",
                            "exact": "quote",
                            "prefix": "the ",
                            "suffix": " is",
                        },
                        {"type": "TextPositionSelector", "start": 4, "end": 9},
                    ]
                },
                "title": "On quotes",
                "broadcastId": "id1",
            }
        },
        "comments": {
            "id2/id3": {"creator": "ada", "created": NOW, "body": "why?", "broadcastId": "id1"}
        },
    }


def test_a_quote_alone_has_no_empty_context_and_no_position(desk: Desk) -> None:
    found = desk.author.annotate(Passage("quote"), "why?")
    assert desk.content["annotations"][found.id]["target"] == {
        "selector": [{"type": "TextQuoteSelector", "exact": "quote"}]
    }
    assert (found.start, found.end, found.prefix) == (None, None, "")


def test_half_a_position_is_a_mistake(desk: Desk) -> None:
    with pytest.raises(ValueError, match="both start and end"):
        desk.author.annotate(Passage("quote", start=4), "why?")
    assert desk.content == {}


def test_a_reply_to_a_comment_names_its_parent(desk: Desk) -> None:
    thread = desk.author.annotate(Passage("quote"), "why?")
    reply = desk.author.reply(thread, "because")
    answer = desk.author.reply(reply, "I see")
    assert reply.parent is None
    assert answer.parent == reply.id
    assert [item.body for item in desk.peer.mirror.annotations()[0].comments] == [
        "why?",
        "because",
        "I see",
    ]


def test_an_edit_changes_neither_creator_nor_created(desk: Desk) -> None:
    comment = desk.author.annotate(Passage("quote"), "why?").comments[0]
    edited = desk.author.edit(comment, "why not?")
    value = desk.content["comments"][comment.name]
    assert value == {
        "creator": "ada",
        "created": NOW,
        "body": "why not?",
        "edited": NOW + 1,
        "broadcastId": "id4",
    }
    assert (edited.created, edited.edited, edited.body) == (NOW, NOW + 1, "why not?")


def test_a_reaction_is_one_key_with_the_user_id_escaped() -> None:
    desk = Desk("ada lovelace/1@example.org")
    comment = desk.author.annotate(Passage("quote"), "why?").comments[0]
    loved = desk.author.react(comment, "❤️", on=True)
    key = f"{comment.name}/❤️/ada%20lovelace%2F1%40example.org"
    assert desk.content["reactions"] == {key: {"at": NOW + 1, "broadcastId": "id4"}}
    assert dict(loved.reactions) == {"❤️": ("ada lovelace/1@example.org",)}
    assert dict(desk.author.react(comment, "❤️", on=False).reactions) == {}
    assert "reactions" not in desk.content


@pytest.mark.parametrize("emoji", ["", "x", "👍👍", "a/b", "👍/👍"])
def test_a_reaction_that_is_not_one_emoji_is_refused_here(desk: Desk, emoji: str) -> None:
    comment = desk.author.annotate(Passage("quote"), "why?").comments[0]
    with pytest.raises(Refused) as refused:
        desk.author.react(comment, emoji, on=True)
    assert refused.value.rule == "key"
    assert "reactions" not in desk.content


def test_what_is_too_long_for_the_server_is_refused_here_with_its_text(desk: Desk) -> None:
    long = "x" * 11
    thread = desk.author.annotate(Passage("quote"), long)
    desk.peer.limits = PageLimits(body=10, quote=10)
    for act in (
        lambda: desk.author.reply(thread, long),
        lambda: desk.author.edit(thread.comments[0], long),
        lambda: desk.author.annotate(Passage(long), "short"),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.rule == "size"
        assert long in str(refused.value.value)
    assert len(desk.content["comments"]) == 1


def test_positions_must_be_whole_numbers(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        desk.author.annotate(Passage("quote", start=-1, end=3), "why?")
    assert refused.value.rule == "shape"


def test_resolving_says_who_and_when_and_can_be_taken_back(desk: Desk) -> None:
    thread = desk.author.annotate(Passage("quote"), "why?")
    assert desk.author.resolve(thread, resolved=True).resolved
    assert desk.content["resolved"] == {
        thread.id: {"by": "ada", "at": NOW + 1, "resolved": True, "broadcastId": "id4"}
    }
    assert not desk.author.resolve(thread, resolved=False).resolved


def test_deleting_a_thread_is_one_entry_and_the_removal_of_all_below_it(desk: Desk) -> None:
    kept = desk.author.annotate(Passage("kept"), "stays")
    thread = desk.author.annotate(Passage("quote"), "why?")
    desk.author.react(thread.comments[0], "👍", on=True)
    desk.author.resolve(thread, resolved=True)
    desk.foreign("comments", f"{thread.id}/b1", {"creator": "bob", "created": 1, "body": "hm"})
    desk.foreign("closed", thread.id, {"by": "eve", "at": 1, "closed": True})
    desk.foreign("deleted", f"{thread.id}/b2/bob", {"by": "bob", "at": 1})
    transactions: list[object] = []
    subscription = desk.peer.replica.doc.observe(transactions.append)
    desk.author.delete(thread)
    assert subscription is not None
    assert desk.content == {
        "annotations": {kept.id: desk.content["annotations"][kept.id]},
        "comments": {kept.comments[0].name: desk.content["comments"][kept.comments[0].name]},
        "closed": {thread.id: {"by": "eve", "at": 1, "closed": True}},
        "deleted": {
            f"{thread.id}/b2/bob": {"by": "bob", "at": 1},
            f"{thread.id}/ada": {"by": "ada", "at": NOW + 4, "broadcastId": "id9"},
        },
    }
    assert len(transactions) == 1
    with pytest.raises(NoSuchNote):
        desk.author.reply(thread, "too late")


def test_deleting_a_comment_takes_its_reactions_and_nothing_else(desk: Desk) -> None:
    thread = desk.author.annotate(Passage("quote"), "why?")
    reply = desk.author.reply(thread, "because")
    desk.author.react(reply, "👍", on=True)
    desk.author.react(thread.comments[0], "👎", on=True)
    desk.author.delete(reply)
    assert list(desk.content["deleted"]) == [f"{reply.name}/ada"]
    assert list(desk.content["comments"]) == [thread.comments[0].name]
    assert list(desk.content["reactions"]) == [f"{thread.comments[0].name}/👎/ada"]


def test_a_batch_is_one_gesture(desk: Desk) -> None:
    with desk.author.batch():
        thread = desk.author.annotate(Passage("quote"), "why?")
        desk.author.reply(thread, "because")
    values = [*desk.content["annotations"].values(), *desk.content["comments"].values()]
    assert {value["broadcastId"] for value in values} == {"id1"}
    with desk.author.batch(), pytest.raises(RuntimeError), desk.author.batch():
        pass


@pytest.mark.parametrize("role", ["commenter", "editor"])
def test_what_is_somebody_elses_is_refused_before_it_is_written(desk: Desk, role: str) -> None:
    desk.foreign("annotations", "b1", {"creator": "bob", "created": 1, "target": {}})
    desk.foreign("comments", "b1/c1", {"creator": "bob", "created": 1, "body": "mine"})
    desk.peer.role = role
    before = desk.content
    for act in (
        lambda: desk.author.delete("b1"),
        lambda: desk.author.delete("b1/c1"),
        lambda: desk.author.edit("b1/c1", "yours"),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.rule == "owner"
    assert desk.content == before
    desk.author.reply("b1", "but I may answer")
    desk.peer.role = "moderator"
    desk.author.delete("b1")
    assert "annotations" not in desk.content


def test_roles_below_editor_do_not_annotate_and_viewers_write_nothing(desk: Desk) -> None:
    thread = desk.author.annotate(Passage("quote"), "why?")
    desk.peer.role = "commenter"
    desk.author.reply(thread, "because")
    with pytest.raises(Refused, match="As commenter"):
        desk.author.annotate(Passage("quote"), "why?")
    desk.peer.role = "viewer"
    with pytest.raises(Refused, match="As viewer"):
        desk.author.react(thread.comments[0], "👍", on=True)


def test_notes_are_found_by_the_beginning_of_their_id(desk: Desk) -> None:
    for name in ("abc1", "abc2", "b"):
        desk.foreign("annotations", name, {"creator": "bob", "created": 1, "target": {}})
        desk.foreign("comments", f"{name}/x{name}", {"creator": "b", "created": 1, "body": name})
    assert desk.author.resolve("abc1", resolved=True).id == "abc1"
    assert desk.author.reply("xabc2", "to a comment").parent == "xabc2"
    for wrong in ("abc", "z", "", "b/z"):
        with pytest.raises(NoSuchNote):
            desk.author.reply(wrong, "?")


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    made = [fresh_id(NOW + n) for n in range(300)]
    assert made == sorted(made)
    pattern = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(pattern.fullmatch(one) for one in made)
    assert int(made[0].replace("-", "")[:12], 16) == NOW


def test_whole_numbers_stay_whole_through_the_document() -> None:
    replica, other = Replica(), Replica()
    value = {"created": NOW, "share": 0.5, "deep": [{"n": 3}], "yes": True, "nothing": None}
    other.apply(replica.write([("page", "title", value)])[0])
    found = other.mirror.value("page", "title")
    assert json.dumps(found, sort_keys=True) == json.dumps(value, sort_keys=True)
