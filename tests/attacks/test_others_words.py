"""Attacks on what others wrote: overwriting, removing, deleting, resolving, restoring."""

import pytest
from entries import NOW, annotation, comment, deletion
from scene import Scene
from yjs_peer import Operation

pytestmark = pytest.mark.node


def entry(user: str, **more: object) -> dict[str, object]:
    return {"by": user, "at": NOW, **more}


def test_writing_over_somebodys_comment(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("set", "comments", "a1/c1", comment("ada", both.marker))])


def test_writing_over_somebodys_comment_as_her_own(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("set", "comments", "a1/c1", comment("eve", both.marker))])


def test_writing_over_a_comment_and_removing_it_at_once(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        write = ("set", "comments", "a1/c1", comment("ada", both.marker))
        eve.transact([write, ("delete", "comments", "a1/c1")])


def test_writing_over_a_comment_and_putting_the_old_words_back(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        old = both.before["comments"]["a1/c1"]
        eve.transact([("set", "comments", "a1/c1", comment("ada", both.marker))])
        eve.transact([("set", "comments", "a1/c1", old)])


def test_moving_somebodys_annotation(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("set", "annotations", "a1", annotation("ada", both.marker))])


def test_removing_a_comment_without_a_word(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("delete", "comments", "a1/c1")])


def test_removing_an_annotation_without_a_word(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("delete", "annotations", "a1")])


def test_removing_her_own_comment_without_a_word(both: Scene) -> None:
    # It could be the shadow of an edit that was refused: it is put back.
    with both.attack() as eve:
        eve.transact([("delete", "comments", "e1/c1")])


def test_removing_everything(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.script(
            "doc.transact(() => doc.share.forEach((_type, root) => { const map = doc.getMap(root);"
            " [...map.keys()].forEach((key) => map.delete(key)) }))"
        )


def test_removing_somebodys_reaction(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("delete", "reactions", "a1/c1/👍/bob")])


def test_writing_over_somebodys_reaction(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        value = {"at": NOW, "broadcastId": both.marker}
        eve.transact([("set", "reactions", "a1/c1/👍/bob", value)])


@pytest.mark.parametrize(
    ("under", "by"), [("eve", "eve"), ("ada", "ada"), ("ada", "eve"), ("eve", "ada")]
)
def test_deleting_somebodys_comment_under_any_name(both: Scene, under: str, by: str) -> None:
    with both.attack(ends=4403) as eve:
        said = entry(by, broadcastId=both.marker)
        eve.transact([("set", "deleted", f"a1/c1/{under}", said), ("delete", "comments", "a1/c1")])


def test_deleting_a_thread_that_is_not_hers(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact(deletion("eve", "a1", ("comments", "a1/c1"), ("comments", "a1/c2")))


def test_a_good_deletion_with_a_bad_removal_in_its_shade(both: Scene) -> None:
    good = deletion("eve", "e1/c1")
    with both.attack(ends=4403, accepted=good) as eve:
        eve.transact([*good, ("delete", "comments", "a1/c1")])


def test_a_deletion_of_her_thread_that_names_another_threads_words(both: Scene) -> None:
    below: list[Operation] = [("delete", "comments", name) for name in ("e1/c1", "e1/c2")]
    good = [*deletion("eve", "e1"), *below]
    with both.attack(ends=4403, accepted=good) as eve:
        eve.transact([*good, ("delete", "comments", "a1/c2"), ("delete", "annotations", "a1")])


def test_editing_an_answer_below_her_own_thread(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        eve.transact([("set", "comments", "e1/c2", comment("ada", both.marker))])


def test_removing_an_answer_below_her_own_thread(both: Scene) -> None:
    with both.attack() as eve:
        eve.transact([("delete", "comments", "e1/c2")])


def test_resolving_somebodys_thread(both: Scene) -> None:
    with both.attack(ends=4403) as eve:
        said = entry("eve", resolved=True, broadcastId=both.marker)
        eve.transact([("set", "resolved", "a1", said)])


def test_saying_that_another_resolved_her_thread(both: Scene) -> None:
    with both.attack() as eve:
        said = entry("ada", resolved=True, broadcastId=both.marker)
        eve.transact([("set", "resolved", "e1", said)])


def test_changing_who_wrote_her_comment_and_when(both: Scene) -> None:
    changes: list[dict[str, object]] = [{"creator": "ada"}, {"created": NOW - 1}, {"created": 0}]
    both.attacks = len(changes)
    with both.attack() as eve:
        for change in changes:
            eve.transact([("set", "comments", "e1/c1", comment("eve", both.marker) | change)])


def test_writing_again_what_a_moderator_deleted(both: Scene) -> None:
    mod = both.person("mod", role="moderator")
    mod.transact(deletion("mod", "e1/c1"))
    both.eve.wait(lacks=[("comments", "e1/c1")])
    both.sync()
    with both.attack() as eve:
        eve.transact([("set", "comments", "e1/c1", comment("eve", both.marker))])


def test_lifting_a_moderators_deletion(both: Scene) -> None:
    mod = both.person("mod", role="moderator")
    mod.transact(deletion("mod", "e1/c1"))
    both.eve.wait(lacks=[("comments", "e1/c1")])
    both.sync()
    with both.attack(ends=4403) as eve:
        eve.transact([("delete", "deleted", "e1/c1/mod")])


def test_a_new_deletion_of_her_own_over_a_moderators(both: Scene) -> None:
    mod = both.person("mod", role="moderator")
    mod.transact(deletion("mod", "e1/c1"))
    both.eve.wait(lacks=[("comments", "e1/c1")])
    both.sync()
    # Hers may stand and fall; the moderator's stands, and nothing comes back.
    with both.attack() as eve:
        eve.transact([("set", "deleted", "e1/c1/eve", entry("eve"))])
        eve.transact([("delete", "deleted", "e1/c1/eve")])


@pytest.mark.parametrize("hidden", ["e1/c1", "e1"])
def test_posting_again_what_is_hidden(both: Scene, hidden: str) -> None:
    both.eve.transact([("set", "comments", "e1/c1", comment("eve", "hidden words"))])
    both.ada.wait(value=("comments", "e1/c1", comment("eve", "hidden words")))
    both.moderate("hide", hidden)
    both.eve.wait(lacks=[("comments", "e1/c1")])
    both.sync()
    with both.attack() as eve:
        eve.transact([("set", "comments", "e1/c1", comment("eve", both.marker))])


def test_what_was_hidden_while_she_edited_it_offline(stage) -> None:
    scene = stage(offline=True)
    with scene.attack() as eve:
        eve.transact([("set", "comments", "e1/c1", comment("eve", scene.marker))])
        scene.moderate("hide", "e1/c1")
        scene.ada.wait(lacks=[("comments", "e1/c1")])
        scene.before = scene.ada.content()
