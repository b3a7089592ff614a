"""The table of roles in docs/security.md is what the gate does."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from entries import annotation, comment

from crdt_chat.identity import Grant, Role
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.page import Page
from crdt_chat.page.verdict import Json

NOW = 1_763_000_000_001
DOCUMENT = Path(__file__).parents[3] / "docs/security.md"
Operations = list[tuple[str, str, Json]]

SAID = {"by": "ada", "at": NOW}
DO: dict[str, list[Operations]] = {
    "start a discussion (annotate)": [[("annotations", "new", annotation("ada"))]],
    "reply": [[("comments", "bobs/new", comment("ada"))]],
    "edit or delete one's own comment": [
        [("comments", "bobs/adas", comment("ada", "edited"))],
        [("deleted", "bobs/adas/ada", SAID), ("comments", "bobs/adas", None)],
    ],
    "edit somebody else's comment": [[("comments", "bobs/c", comment("bob", "edited by ada"))]],
    "react": [[("reactions", "bobs/c/🦉/ada", {"at": NOW})]],
    "resolve one's own discussion": [[("resolved", "adas", {**SAID, "resolved": True})]],
    "resolve somebody else's": [[("resolved", "bobs", {**SAID, "resolved": True})]],
    "delete somebody else's discussion or comment": [
        [("deleted", "bobs/ada", SAID), ("annotations", "bobs", None)],
        [("deleted", "bobs/c/ada", SAID), ("comments", "bobs/c", None)],
    ],
    "restore what somebody else deleted": [[("deleted", "gone/bob", None)]],
    "move somebody else's annotation": [[("annotations", "bobs", annotation("bob", "elsewhere"))]],
    "close a discussion or the page, set its title": [
        [("closed", "bobs", {**SAID, "closed": True})],
        [("closed", "page", {**SAID, "closed": True})],
        [("page", "title", "A title")],
    ],
}


def table() -> dict[str, list[bool]]:
    text = DOCUMENT.read_text("utf-8")
    shown = re.search(r"<!-- roles: .*?-->\n(.*?)\n<!-- /roles -->", text, re.DOTALL)
    assert shown is not None
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown[1].splitlines()]
    assert lines[0][1:] == [role.name.lower() for role in Role]
    assert {cell for line in lines[2:] for cell in line[1:]} == {"yes", "no"}
    return {line[0]: [cell == "yes" for cell in line[1:]] for line in lines[2:]}


def grant(user: str, role: Role) -> Grant:
    return Grant("acme", user, user, role)


def a_page(limits: PageLimits) -> Page:
    """A page with things of Ada's and of Bob's."""
    page = Page(limits, 7)
    for user, operations in (
        (
            "bob",
            [("annotations", "bobs", annotation("bob")), ("comments", "bobs/c", comment("bob"))],
        ),
        ("bob", [("annotations", "gone", annotation("bob"))]),
        ("bob", [("deleted", "gone/bob", {"by": "bob", "at": NOW}), ("annotations", "gone", None)]),
        (
            "ada",
            [("annotations", "adas", annotation("ada")), ("comments", "bobs/adas", comment("ada"))],
        ),
    ):
        verdict = page.write(operations, grant(user, Role.EDITOR), NOW)
        assert not verdict.refusals, verdict.refusals
    return page


ADDED = {
    "commenters_annotate": ("start a discussion (annotate)", Role.COMMENTER),
    "editors_resolve": ("resolve somebody else's", Role.EDITOR),
    "any_writer_resolves": ("resolve somebody else's", Role.COMMENTER),
}


@pytest.mark.parametrize("setting", ADDED)
def test_a_setting_adds_to_the_table_for_its_role_and_those_above(setting):
    line, least = ADDED[setting]
    for role in Role:
        page = a_page(replace(PageLimits(), **{setting: True}))
        for operations in DO[line]:
            verdict = page.write(operations, grant("ada", role), NOW)
            wanted = role >= least or table()[line][role]
            assert (not verdict.refusals) is wanted, (role, verdict.refusals)


def test_every_line_of_the_table_is_tried():
    assert set(table()) == {"read the page, see who is here", *DO}


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.name.lower())
@pytest.mark.parametrize("line", DO)
def test_the_gate_does_what_the_table_says(line, role):
    page = a_page(PageLimits())
    for operations in DO[line]:
        verdict = page.write(operations, grant("ada", role), NOW)
        assert (not verdict.refusals) is table()[line][role], (operations, verdict.refusals)
