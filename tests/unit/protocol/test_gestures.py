"""Whatever people do in a commit, a legacy client that applies its events shows what the page says."""

import json
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crdt_chat.page.verdict import Change
from crdt_chat.protocol import text_chat
from crdt_chat.protocol.gestures import Attributed, annotation_of, own_broadcast_id

Json = Any
Step = tuple[str, str, str, str | None]
"""(verb, annotation, user, broadcastId)"""

VERBS = [
    "annotate", "move", "reply", "edit", "react", "unreact", "resolve", "reopen", "close",
    "delete", "delete comment", "restore", "hide",
]  # fmt: skip
STEPS = st.tuples(
    st.sampled_from(VERBS),
    st.sampled_from(["a1", "a2"]),
    st.sampled_from(["ada", "bob"]),
    st.sampled_from([None, "b1", "b2", "b3"]),
)
COMMITS = st.lists(st.lists(st.lists(STEPS, min_size=1, max_size=4), max_size=5), max_size=4)
"""Commits of updates of steps; the first step of an update says whose it is."""


class Model:
    """A page that lets anybody do anything possible, and a legacy client beside it."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Json] = {}
        self.shown: dict[str, Json] = {}
        self.times = count(1)
        self.given = (f"s{number}" for number in count())

    def operations(self, step: Step) -> list[tuple[str, str, Json]]:
        """What a step writes, nothing where it is not possible now."""
        verb, annotation, user, said_id = step
        there = ("annotations", annotation) in self.values
        entries = [n for r, n in self.values if r == "deleted" and n.startswith(f"{annotation}/")]
        carried = {"broadcastId": said_id} if said_id else {}
        made = {"creator": user, "created": next(self.times), **carried}
        entry = {"by": user, "at": next(self.times), **carried}
        anchor = made | {"target": {"selector": []}, "title": f"t{made['created']}"}
        comment = f"{annotation}/c1"
        has_comment = ("comments", comment) in self.values
        below = [
            (root, name, None)
            for root, name in self.values
            if root in {"comments", "reactions"} and name.startswith(f"{annotation}/")
        ]
        choices: dict[str, tuple[bool, list[tuple[str, str, Json]]]] = {
            "annotate": (
                not there and not entries,
                [("annotations", annotation, anchor), ("comments", comment, made | {"body": "x"})],
            ),
            "move": (there, [("annotations", annotation, anchor)]),
            "reply": (
                there,
                [("comments", f"{annotation}/r{made['created']}", made | {"body": "y"})],
            ),
            "edit": (has_comment, [("comments", comment, made | {"body": f"{next(self.times)}"})]),
            "react": (has_comment, [("reactions", f"{comment}/x/{user}", {"at": 1, **carried})]),
            "unreact": (True, [("reactions", f"{comment}/x/{user}", None)]),
            "resolve": (there, [("resolved", annotation, entry | {"resolved": True})]),
            "reopen": (there, [("resolved", annotation, entry | {"resolved": False})]),
            "close": (there, [("closed", annotation, entry | {"closed": True})]),
            "delete": (
                True,
                [
                    ("deleted", f"{annotation}/{user}", entry),
                    ("annotations", annotation, None),
                    *below,
                ],
            ),
            "delete comment": (
                has_comment,
                [("deleted", f"{comment}/{user}", entry), ("comments", comment, None)],
            ),
            "restore": (
                bool(entries),
                [
                    *[("deleted", name, None) for name in entries],
                    ("annotations", annotation, anchor),
                ],
            ),
            "hide": (there, [("annotations", annotation, None)]),
        }
        possible, operations = choices[verb]
        return operations if possible else []

    def update(self, steps: list[Step], number: int) -> list[Attributed]:
        """The net changes of one update, all by one person."""
        actor = steps[0][2]
        before = dict(self.values)
        touched: dict[tuple[str, str], None] = {}
        for verb, annotation, _, said_id in steps:
            for root, name, value in self.operations((verb, annotation, actor, said_id)):
                touched[root, name] = None
                self.values.pop((root, name), None)
                if value is not None:
                    self.values[root, name] = value
        changes = [Change(*key, before.get(key), self.values.get(key)) for key in touched]
        return [Attributed(c, actor, number) for c in changes if c.before != c.after]

    def tell(self, changes: list[Attributed]) -> list[text_chat.TextChatEvent]:
        """The events of a commit, applied by the client."""
        events = text_chat.events(
            "page",
            changes,
            lambda root, name: self.values.get((root, name)),
            lambda: next(self.given),
        )
        for event in events:
            body = json.loads(event.body)
            if event.type == "deleted-text-chat":
                self.shown.pop(event.entity, None)
            else:
                self.shown[event.entity] = body["chat"]
        return events


@given(COMMITS)
def test_a_client_that_applies_the_events_shows_what_the_page_says(
    commits: list[list[list[Step]]],
) -> None:
    model = Model()
    numbers = count()
    for updates in commits:
        model.tell([one for steps in updates for one in model.update(steps, next(numbers))])
        live = {
            name: value for (root, name), value in model.values.items() if root == "annotations"
        }
        assert model.shown.keys() == live.keys()
        for annotation, shown in model.shown.items():
            assert shown["pageTitle"] == live[annotation]["title"]
            resolved = model.values.get(("resolved", annotation), {"resolved": False})
            assert shown["isResolved"] == resolved["resolved"]
            assert shown["isClosed"] == (("closed", annotation) in model.values)


@given(COMMITS)
def test_every_event_is_one_persons_and_every_broadcast_id_is_told_once(
    commits: list[list[list[Step]]],
) -> None:
    model = Model()
    numbers = count()
    for updates in commits:
        changes = [one for steps in updates for one in model.update(steps, next(numbers))]
        events = model.tell(changes)
        told = [(event.entity, event.broadcast_id, event.user) for event in events]
        assert len(told) == len(set(told))
        assert all(event.broadcast_id for event in events)
        said = {(annotation_of(c), own_broadcast_id(c), actor) for c, actor, *_ in changes}
        for entity, broadcast_id, user in told:
            own = broadcast_id.startswith("s") or (entity, broadcast_id, user) in said
            assert own, "an id that its person did not bring in this commit"
        people = {(annotation_of(change), actor) for change, actor, *_ in changes}
        assert {(entity, user) for entity, _, user in told} <= people
