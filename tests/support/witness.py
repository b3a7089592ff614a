"""A real Y.Doc that is told what a page sends, and must always show what the page says it holds."""

from typing import Any

from pycrdt import Doc, Map

from crdt_chat.page.layout import ROOTS
from crdt_chat.page.page import Page
from crdt_chat.page.yjs import as_json, shown


class Witness:
    """A peer that has been there from the beginning."""

    def __init__(self) -> None:
        self._doc: Doc[Any] = Doc()
        self._roots = {root: self._doc.get(root, type=Map) for root in ROOTS}

    def look(self, page: Page, update: bytes) -> None:
        """Take the update of a verdict: it and a late joiner must show what the page says it holds."""
        if update:
            self._doc.apply_update(update)
        content = {root: dict(page.items(root)) for root in ROOTS}
        seen = {
            root: {name: as_json(value) for name, value in (entries.to_py() or {}).items()}
            for root, entries in self._roots.items()
        }
        assert seen == content
        assert sorted(self._doc.get_state()) == sorted(page.state_vector())
        look_in_late(page)


def look_in_late(page: Page) -> None:
    """Who joins only now is shown by Yjs what the page says it holds."""
    late: dict[str, dict[str, Any]] = {root: {} for root in ROOTS}
    for root, name, value in shown(page.state()):
        late[root][name] = value
    assert late == {root: dict(page.items(root)) for root in ROOTS}
