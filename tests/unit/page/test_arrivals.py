"""Trim, gaps and ownership: what of an update is new, complete and the sender's own."""

from dataclasses import replace

import pytest
from handmade import NOW, SERVER, Hand, Table, annotation, comment, entry, grant, thread

from crdt_chat.errors import Malformed
from crdt_chat.identity import Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.update import Gc, Item, Skip, decode, encode
from crdt_chat.page.verdict import GateRows, Sync

SYNCS: list[Sync] = ["update", "step2", "last"]


def test_an_echo_is_trimmed_and_counts_nothing() -> None:
    table = Table()
    ada, _made, said = thread(table)
    ada.set("comments", "a1/c1", comment("ada", "new"), said)
    ada.send()
    for sync in SYNCS:
        verdict = table.page.receive(table.page.state(), sync, grant("bob"), NOW)
        assert (verdict.kind, verdict.update, verdict.operations) == ("trimmed", b"", 0)


def test_what_goes_on_whole_goes_on_as_it_came() -> None:
    table = Table()
    ada, _made, said = thread(table)
    edit = Item(ada.client, ada.clock, 1, said, "", "", (comment("ada", "new"),))
    data = encode({ada.client: [edit]}, {said[0]: [(said[1], said[1] + 1)]})
    assert table.page.receive(data, "update", ada.grant, NOW).update is data
    again = replace(edit, clock=edit.clock + 1, origin=(ada.client, edit.clock))
    gone = {ada.client: [(said[1], said[1] + 1), (edit.clock, edit.clock + 1)]}
    verdict = table.page.receive(encode({ada.client: [again]}, gone), "update", ada.grant, NOW)
    assert (verdict.kind, verdict.echo) == ("accepted", False)
    assert decode(verdict.update).deleted == {ada.client: [(edit.clock, edit.clock + 1)]}


def test_nobody_puts_words_into_the_servers_mouth() -> None:
    """What the server will write, sent under its id: equal for Python, where True is 1, not for readers."""
    table = Table()
    ada, _made, _said = thread(table)
    said = ada.set("comments", "a1/c2", comment("ada", created=1))
    ada.send()
    tab = Hand(table, "ada", 2_000_000)
    bare = Item(tab.client, 0, 1, said, "", "", None)
    forged = comment("ada", created=True)
    assert forged == table.page.value("comments", "a1/c2")
    put = Item(SERVER, 0, 1, (tab.client, 0), "", "", (forged,))
    gone = {ada.client: [(said[1], said[1] + 1)], tab.client: [(0, 1)]}
    data = encode({tab.client: [bare], SERVER: [put]}, gone)
    verdict = tab.send("step2", data)
    assert (verdict.repair, verdict.echo) == ("rollback", True)
    (item,) = decode(verdict.update).structs[SERVER]
    assert item.values == (forged,)
    assert item.values[0]["created"] is not True


def test_the_known_beginning_of_a_run_is_cut() -> None:
    table = Table()
    ada, _made, said = thread(table)
    first = ada.item("comments", "a1/c1", None, said)
    assert ada.send("step2").repair == "rollback"
    table = Table()
    ada, _made, said = thread(table)
    over = ada.set("comments", "a1/c1", comment("ada", "1"), said)
    ada.send()
    run = Item(ada.client, over[1], 3, said, "", "", None)
    last = Item(
        ada.client, over[1] + 3, 1, (ada.client, over[1] + 2), "", "", (comment("ada", "4"),)
    )
    data = encode({ada.client: [run, last]}, {ada.client: [(1, over[1] + 3)]})
    assert ada.send("update", data).kind == "accepted"
    assert table.content()["comments/a1/c1"]["body"] == "4"
    assert first == over


@pytest.mark.parametrize(
    "what", ["clock ahead", "skip", "origin", "delete range", "annotation", "comment"]
)
@pytest.mark.parametrize("sync", SYNCS)
def test_gaps(what: str, sync: Sync) -> None:
    """Whether it is a gap, by how it came."""
    table = Table()
    thread(table)
    eve = Hand(table, "eve", 5_000_000)
    item = Item(eve.client, 0, 1, None, "comments", "a1/c9", (comment("eve"),))
    structs, deleted = {eve.client: [item]}, {}
    if what == "clock ahead":
        structs = {eve.client: [replace(item, clock=1)]}
    elif what == "skip":
        structs = {eve.client: [Skip(eve.client, 0, 1), replace(item, clock=1)]}
    elif what == "origin":
        structs = {eve.client: [replace(item, origin=(77, 3))]}
    elif what == "delete range":
        deleted = {77: [(0, 2)]}
    elif what == "annotation":
        structs = {eve.client: [replace(item, name="nowhere/c9")]}
    else:
        structs = {
            eve.client: [replace(item, root="reactions", name="a1/c9/👍/eve", values=({"at": 1},))]
        }
    before = table.page.state_vector()
    verdict = table.page.receive(encode(structs, deleted), sync, eve.grant, NOW)
    kinds = {
        "clock ahead": ("gap", "gap", "gap"),
        "skip": ("gap", "gap", "gap"),
        "origin": ("gap", "gap", "refused:origin"),
        "delete range": ("gap", "accepted", "accepted"),
        "annotation": ("gap", "refused:unknown", "refused:unknown"),
        "comment": ("gap", "refused:unknown", "refused:unknown"),
    }
    expected = kinds[what][SYNCS.index(sync)]
    if expected == "gap":
        assert verdict.kind == "gap"
        assert (verdict.keys, verdict.update) == ({}, b"")
        assert table.page.state_vector() == before
    else:
        assert list(verdict.keys.values()) == [expected]


def test_a_circle_is_malformed_and_a_long_chain_is_not() -> None:
    table = Table()
    thread(table)
    clients = list(range(5_000_000, 5_000_400))
    chain = {
        client: [Item(client, 0, 1, (client + 1, 0), "", "", None)] for client in clients[:-1]
    } | {clients[-1]: [Item(clients[-1], 0, 1, None, "comments", "a1/c9", None)]}
    assert table.page.receive(encode(chain, {}), "step2", grant("eve"), NOW).kind == "accepted"
    circle = {5: [Item(5, 0, 1, (6, 0), "", "", None)], 6: [Item(6, 0, 1, (5, 0), "", "", None)]}
    clocks = {
        5: [Item(5, 0, 1, (6, 0), "", "", None), Gc(5, 1, 1)],
        6: [Item(6, 0, 1, (5, 1), "", "", None)],
    }
    for structs in (circle, clocks):
        with pytest.raises(Malformed):
            table.page.receive(encode(structs, {}), "update", grant("eve"), NOW)


def test_the_first_announcer_owns_a_client_id() -> None:
    page = Page(PageLimits(), SERVER)
    assert page.announce(70_000, "ada")
    assert page.announce(70_000, "ada")
    assert not page.announce(70_000, "eve")
    assert not page.announce(SERVER, "ada")
    assert page.announced == [(70_000, "ada")]


def test_another_persons_id_is_dropped_not_burnt() -> None:
    table = Table()
    thread(table)
    bob, eve = Hand(table, "bob", 6_000_000), Hand(table, "eve", 5_000_000)
    forged = Item(bob.client, 0, 1, None, "comments", "a1/b1", (comment("bob", "EVIL"),))
    own = Item(eve.client, 0, 1, None, "comments", "a1/e1", (comment("eve"),))
    data = encode({bob.client: [forged], eve.client: [own]}, {1_000_000: [(1, 2)]})
    verdict = eve.send("update", data)
    assert verdict.kind == "accepted"  # and her deletion of ada's comment is ignored
    assert dict(verdict.keys) == {"comments/a1/e1": "accepted"}
    assert verdict.echo
    bob.set("comments", "a1/b1", comment("bob", "mine"))
    assert bob.send().kind == "accepted"
    assert table.content()["comments/a1/b1"]["body"] == "mine"
    assert "comments/a1/c1" in table.content()


def test_what_builds_on_dropped_work_waits_until_patience_is_over() -> None:
    table = Table()
    thread(table)
    bob, eve = Hand(table, "bob", 6_000_000), Hand(table, "eve", 5_000_000)
    unsent = Item(bob.client, 0, 1, None, "annotations", "a2", (annotation("bob"),))
    reply = Item(eve.client, 0, 1, None, "comments", "a2/e1", (comment("eve"),))
    data = encode({bob.client: [unsent], eve.client: [reply]}, {})
    assert eve.send("step2", data).kind == "gap"
    verdict = eve.send("last", data)
    assert (dict(verdict.keys), verdict.repair) == (
        {"comments/a2/e1": "refused:unknown"},
        "rollback",
    )


@pytest.mark.parametrize("named", ["value", "by", "key", "nobody"])
def test_an_unannounced_id_belongs_to_whom_its_values_name(named: str) -> None:
    table = Table()
    thread(table)
    for user, kind in (("bob", "trimmed"), ("eve", "accepted")):
        client = 6_000_000 + len(user) + ord(user[0])
        eve = Hand(table, "eve", client, known=False)
        if named == "value":
            eve.set("comments", f"a1/{user}", comment(user))
        elif named == "by":
            eve.grant = grant("eve", Role.MODERATOR)
            eve.set("resolved", "a1", entry(user, resolved=True))
        elif named == "key":
            eve.set("reactions", f"a1/c1/👍/{user}", {"at": 1})
        else:
            eve.item("comments", f"a1/{user}", None)
            kind = "accepted"
        verdict = eve.send()
        assert verdict.kind == kind
        owners = [(client, "eve")] if kind == "accepted" and named != "nobody" else []
        assert verdict.rows.owners == owners
        assert table.page.announce(client, "somebody else") is not bool(owners)


def test_a_moderators_new_anchor_does_not_make_her_client_the_creators() -> None:
    table = Table()
    _ada, made, _said = thread(table)
    mod = Hand(table, "mod", 6_000_000, Role.MODERATOR, known=False)
    mod.set("annotations", "a1", annotation("ada", title="moved"), made)
    assert mod.send("step2").kind == "accepted"
    assert table.content()["annotations/a1"]["title"] == "moved"


def test_ownership_survives_a_restart_and_the_server_keeps_its_ids() -> None:
    table = Table()
    thread(table)
    table.page.write([("page", "title", "T")], grant("mod", Role.MODERATOR), NOW)
    rows = GateRows(owners=[(SERVER, ""), (12, "ada")])
    page = Page.load(table.page.state(), (), rows, PageLimits(), 12)
    assert not page.announce(SERVER, "eve")
    assert not page.announce(12, "eve")
    verdict = page.write([("page", "title", "U")], grant("mod", Role.MODERATOR), NOW)
    assert verdict.rows.owners == [(13, "")]


@pytest.mark.parametrize("name", [["eve"], {"eve": 1}, 5, None, ""])
def test_strange_names_in_values_are_no_names(name: object) -> None:
    table = Table()
    _ada, made, _said = thread(table)
    eve = Hand(table, "eve", 6_000_000, known=False)
    eve.set("comments", "a1/e1", comment("eve") | {"creator": name})
    eve.set("resolved", "a1", {"by": name, "at": 1, "resolved": True})
    eve.set("annotations", "a1", annotation("eve") | {"creator": name}, made)
    verdict = eve.send("step2")
    assert set(verdict.keys.values()) <= {"refused:shape"}
    assert len(verdict.keys) == 3
    assert not verdict.rows.owners


def test_ones_own_entry_for_what_nobody_saw_can_be_lifted() -> None:
    table = Table()
    thread(table)
    earlier, ada = Hand(table, "ada", 6_000_000, known=False), Hand(table, "ada", 7_000_000)
    earlier.item("comments", "a1/c9", None)
    mark = ada.set("deleted", "a1/c9/ada", entry("ada"))
    both = encode(
        {hand.client: hand.structs for hand in (earlier, ada)}, {earlier.client: [(0, 1)]}
    )
    ada.structs = []
    assert ada.send("step2", both).kind == "accepted"
    table.restart()
    ada.drop(mark)
    assert ada.send().kind == "accepted"
    ada.item("deleted", "nowhere/ada", None)
    assert list(ada.send("step2").keys.values()) == ["refused:unknown"]


def test_an_entry_that_is_begun_again_and_again_stalls_nobody() -> None:
    """Yjs looks at all beginnings of an entry for each new one: 16,000 held the loop for seconds."""
    table = Table()
    hand, _, unit = thread(table)
    for count in (600, 400):
        for _ in range(count):
            hand.set("comments", "a1/c1", comment("ada"))
        assert hand.send().kind == "accepted"
        table.restart()
    hand.set("comments", "a1/c1", comment("ada", "once more"))
    with pytest.raises(Malformed):
        hand.send()
    hand.clock -= 1
    hand.set("comments", "a1/c1", comment("ada", "an edit"), over=unit)
    hand.set("comments", "a1/c2", comment("ada", "another"))
    assert hand.send().kind == "accepted"


@pytest.mark.parametrize("late", [True, False])
def test_a_long_chain_with_much_beside_it_stalls_nobody(late: bool) -> None:
    """For each of them Yjs looks at all of the chain: 900 beside 20,000 took 5 s, at every reader.

    late: what stands beside comes behind the chain for whoever joins, too.
    """
    table = Table()
    unit = thread(table)[2]
    low, high, other = (Hand(table, "ada", client) for client in (1_000_001, 1_000_002, 1_000_003))
    for turn in range(2_000):
        unit = (low, high)[turn % 2].item("comments", "a1/c1", None, unit)
    high.set("comments", "a1/c1", comment("ada"), unit)
    runs = {low.client: low.structs, high.client: high.structs}
    deleted = low.deleted | high.deleted
    assert high.send("step2", encode(runs, deleted)).kind == "accepted"
    for _ in range(150 if late else 400):
        if late:
            other.item("comments", "a1/c1", None, (high.client, 1_000))
        other.set("comments", "a1/c1", comment("ada"))
    assert other.send().kind == "accepted"
    table.restart()
    for _ in range(400):
        other.set("comments", "a1/c1", comment("ada"))
    with pytest.raises(Malformed, match="side by side"):
        other.send()


@pytest.mark.parametrize("own", [True, False])
def test_a_reader_leaves_no_bare_clocks_on_the_page(own: bool) -> None:
    """Under an id that she announced, or under ids that nobody has: nothing of it is applied or kept."""
    table = Table()
    thread(table)
    before = table.page.state()
    if own:
        table.page.announce(5_000_000, "eve")
    clocks = {5_000_000 + number: [Gc(5_000_000 + number, 0, 7)] for number in range(900)}
    viewer = grant("eve", role=Role.VIEWER)
    for sync in SYNCS:
        verdict = table.page.receive(encode(clocks, {}), sync, viewer, NOW)
        assert (verdict.kind, verdict.update, verdict.operations) == ("trimmed", b"", 0)
    assert table.page.state() == before
    # Once she may write, what was left out is taken after all.
    editor = grant("eve")
    assert table.page.receive(encode(clocks, {}), "step2", editor, NOW).kind == "accepted"


def test_who_may_only_read_by_now_leaves_no_hole_in_her_clocks() -> None:
    """What she wrote and took back offline comes as bare clocks; without them all after it is a gap."""
    table = Table()
    ada, _made, _said = thread(table)
    ada.gc(2)
    reader = grant("ada", role=Role.VIEWER)
    assert table.page.receive(ada.data(), "step2", reader, NOW).kind == "accepted"
    ada.set("comments", "a1/c2", comment("ada"))
    assert ada.send("last").kind == "accepted"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.MODERATOR])
def test_an_update_brings_a_thousand_client_ids_and_no_more(role: Role) -> None:
    """Two million of them fit into one offline batch, and would fill the page for everybody, for ever."""
    table = Table()
    thread(table)
    before = table.page.state()
    for build in (
        lambda client: Gc(client, 0, 1),
        lambda client: Item(client, 0, 1, None, "comments", f"a1/c{client}", None),
    ):
        clients = range(5_000_000, 5_001_001)
        update = encode({client: [build(client)] for client in clients}, {})
        with pytest.raises(Malformed, match="too many unknown client ids"):
            table.page.receive(update, "step2", grant("eve", role=role), NOW)
    assert table.page.state() == before
    # Known ones count for nothing, however many they are.
    writer = grant("eve")
    for first in (6_000_000, 7_000_000):
        clients = range(first, first + 1_000)
        update = encode({client: [Gc(client, 0, 1)] for client in clients}, {})
        assert table.page.receive(update, "step2", writer, NOW).kind == "accepted"
    known = {client: [Gc(client, 1, 1)] for first in (6_000_000, 7_000_000)
             for client in range(first, first + 1_000)}  # fmt: skip
    assert table.page.receive(encode(known, {}), "step2", writer, NOW).kind == "accepted"
