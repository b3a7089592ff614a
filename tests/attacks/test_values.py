"""Attacks with values and names: wrong kinds, too long, unknown properties, hostile keys and roots."""

from collections.abc import Callable

import pytest
from contents import Json
from entries import NOW, annotation, comment
from scene import Scene
from yjs_peer import NAN, UNDEFINED, Operation

pytestmark = pytest.mark.node

INFINITY: Json = {"$any": "infinity"}
BIG: Json = {"$any": "bigint", "value": "9007199254740993"}
BYTES: Json = {"$any": "bytes", "value": "Zm9yYmlkZGVu"}


def nested(depth: int, words: str) -> Json:
    found: Json = words
    for _ in range(depth):
        found = [found]
    return found


def bad_comments(words: str) -> list[Json]:
    good = comment("eve", words)
    changes: list[dict[str, Json]] = [
        {"x": 1}, {"hasOwnProperty": words}, {"toString": 1}, {"html": f"<b>{words}</b>"}, {"id": "a1"},
        {"body": [words]}, {"body": {"text": words}}, {"body": None}, {"body": UNDEFINED},
        {"body": 7}, {"body": True}, {"body": BYTES, "broadcastId": words},
        {"created": "now"}, {"created": NAN}, {"created": INFINITY}, {"created": BIG},
        {"created": -1}, {"created": 1.5}, {"created": UNDEFINED}, {"created": None}, {"created": True},
        {"parent": 7}, {"parent": "../x"}, {"parent": ""}, {"parent": "__proto__"}, {"parent": "a/b"},
        {"edited": "now"}, {"edited": -5}, {"edited": [NOW]},
        {"broadcastId": words * 20}, {"broadcastId": None}, {"broadcastId": [words]},
        {"body": words + "x" * 10_000}, {"body": words + "😀" * 10_001},
        {"nested": nested(9, words)}, {"body": nested(12, words)},
    ]  # fmt: skip
    return [good | change for change in changes] + [
        words,
        [words],
        None,
        7,
        True,
        UNDEFINED,
        {},
        NAN,
    ]


def test_comments_of_a_wrong_shape_or_size(both: Scene) -> None:
    values = bad_comments(both.marker)
    both.attacks = len(values)
    with both.attack() as eve:
        for number, value in enumerate(values):
            eve.transact([("set", "comments", f"a1/f{number}", value)])


def test_a_good_comment_made_bad(both: Scene) -> None:
    """Over her own live words: the old ones are put back."""
    with both.attack() as eve:
        for value in bad_comments(both.marker)[::4]:
            eve.transact([("set", "comments", "e1/c1", value)])


def bad_annotations(words: str) -> list[Json]:
    good = annotation("eve", words)
    quote: dict[str, Json] = {"type": "TextQuoteSelector", "exact": words}
    selectors: list[Json] = [
        [quote | {"exact": words + "x" * 2_000}], [quote | {"prefix": "x" * 201}],
        [quote | {"suffix": "x" * 201}], [quote] * 9, [quote | {"x": 1}], [{"exact": words}], [words],
        [quote | {"start": "0"}], [quote | {"start": -1}], [quote | {"end": NAN}], words, None,
        [[quote]], [quote | {"value": "x" * 4_097}], [quote | {"type": words + "x" * 500}],
    ]  # fmt: skip
    targets: list[Json] = [{"selector": each} for each in selectors]
    targets += [
        words,
        [],
        {},
        {"selector": [quote], "x": 1},
        {"selector": [quote], "source": "x" * 2_049},
    ]
    return [
        *(good | {"target": target} for target in targets),
        good | {"title": words + "x" * 500},
        good | {"title": 7},
        good | {"urlIdWithRange": "x" * 4_097},
        good | {"body": words},
    ]


def test_annotations_of_a_wrong_shape_or_size(both: Scene) -> None:
    values = bad_annotations(both.marker)
    both.attacks = len(values)
    with both.attack() as eve:
        for number, value in enumerate(values):
            eve.transact([("set", "annotations", f"f{number}", value)])


def test_facts_of_a_wrong_shape(both: Scene) -> None:
    said: dict[str, Json] = {"by": "eve", "at": NOW}
    words = both.marker
    bad: list[tuple[str, str, Json]] = [
        ("resolved", "e1", said | {"resolved": words}), ("resolved", "e1", said | {"resolved": 1}),
        ("resolved", "e1", said), ("resolved", "e1", words),
        ("resolved", "e1", said | {"resolved": True, "x": words}),
        ("reactions", "e1/c1/🎉/eve", {"at": words}), ("reactions", "e1/c1/🎉/eve", {"at": NOW, "x": words}),
        ("reactions", "e1/c1/🎉/eve", words), ("reactions", "e1/c1/🎉/eve", {}),
        ("deleted", "e1/c1/eve", said | {"reason": words}), ("deleted", "e1/c1/eve", words),
        ("deleted", "e1/c1/eve", {"by": "eve", "at": -1, "broadcastId": words}),
    ]  # fmt: skip
    both.attacks = len(bad)
    with both.attack() as eve:
        for root, name, value in bad:
            eve.transact([("set", root, name, value)])


def test_names_and_roots_that_there_are_not(both: Scene) -> None:
    words = both.marker
    value = comment("eve", words)
    names: list[tuple[str, str]] = [
        ("else", words), (words, "x"), ("", words), ("Comments", words), ("comments ", words),
        ("__proto__", words), ("constructor", words), ("annotations\x00", words), ("а" * 300, words),
        ("annotations", "page"), ("annotations", f"{words} x"), ("annotations", words + "x" * 64),
        ("annotations", f"-{words}"), ("annotations", f"{words}/x"), ("annotations", ""),
        ("annotations", "__proto__"), ("annotations", f"{words}\n"), ("annotations", f"{words}é"),
        ("comments", words), ("comments", f"a1/{words}/x"), ("comments", f"a1//{words}"),
        ("comments", "a1/__proto__"), ("comments", "__proto__/c1"), ("comments", f"page/{words}"),
        ("comments", f"a1/{words}\u202e"), ("comments", f"../{words}"), ("comments", "a1/c1 "),
        ("resolved", f"a1/{words}"), ("resolved", "page"), ("closed", f"{words}/x"),
        ("reactions", f"e1/c1/{words}/eve"), ("reactions", f"e1/c1/👍👍{words}/eve"),
        ("reactions", f"e1/c1/{'👍🏽' * 5}/eve"), ("reactions", "e1/c1//eve"), ("reactions", "e1/c1/👍/"),
        ("reactions", "e1/c1/👍/%ff"), ("reactions", "e1/👍/eve"), ("reactions", f"e1/c1/👍/{words}/eve"),
        ("deleted", words), ("deleted", f"e1/c1/{words}/eve"), ("deleted", "e1/"), ("deleted", "e1/%00"),
        ("page", words), ("page", "title "), ("page", "__proto__"), ("closed", "__proto__"),
    ]  # fmt: skip
    both.attacks = len(names)
    with both.attack() as eve:
        for root, name in names:
            if root in ("closed", "page"):
                continue
            eve.transact([("set", root, name, value)])


def test_names_of_the_moderators_parts_that_there_are_not(both: Scene) -> None:
    words = both.marker
    with both.attack() as eve:
        for root, name in (("page", words), ("page", "title "), ("closed", f"{words}/x")):
            eve.transact([("set", root, name, words)])


def test_words_that_hide_or_break_other_words(scene: Scene) -> None:
    """Data is data: it is kept as it is and harms nobody."""
    texts = ["<script>alert(1)</script>", "\u202eevil", "\u0000", "%s%n", "'; DROP TABLE page; --", "\ufeff",
             "@[ada](ada)", "{{7*7}}", "\u2028", "🏴‍☠️", "ﷺ" * 100]  # fmt: skip
    good: list[Operation] = [
        ("set", "comments", f"a1/f{number}", comment("eve", body))
        for number, body in enumerate(texts)
    ]
    scene.attacks = len(texts)
    with scene.attack(accepted=good) as eve:
        for operation in good:
            eve.transact([operation])


def test_half_of_a_surrogate_pair(scene: Scene) -> None:
    """Yjs writes it as U+FFFD: so do all who read it, and she herself after a reload."""
    seen = comment("eve", "half \ufffd of it")
    with scene.attack(ends="free", accepted=[("set", "comments", "a1/f1", seen)]) as eve:
        eve.script(
            "doc.getMap('comments').set('a1/f1', { ...doc.getMap('comments').get('e1/c1'),"
            " body: 'half \\ud800 of it' })"
        )
        scene.ada.wait(value=("comments", "a1/f1", seen))


def test_the_good_of_a_batch_stays(stage: Callable[..., Scene]) -> None:
    """Fifty operations offline of which seven are forbidden: 43 are kept."""
    scene = stage(offline=True)
    good: list[Operation] = [
        ("set", "comments", f"a1/g{number}", comment("eve", f"good {number}"))
        for number in range(43)
    ]
    words = scene.marker
    bad: list[Operation] = [
        ("set", "comments", "a1/b1", comment("ada", words)),
        ("set", "comments", "a1/b2", comment("eve", words, x=1)),
        ("set", "annotations", "b3", annotation("ada", words)),
        ("set", "comments", "e1/c1", comment("eve", words, created=1)),
        ("set", "reactions", f"e1/c1/{words}/eve", {"at": NOW}),
        ("set", words, "x", words),
        ("delete", "annotations", "e1"),
    ]
    with scene.attack(accepted=good) as eve:
        for number, operation in enumerate(good):
            eve.transact(
                [operation, bad[number // 6]] if number % 6 == 0 and number < 42 else [operation]
            )
