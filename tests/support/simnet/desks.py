"""Flags, hiding and closing in a simulated history, and what moderators are told of them on their sockets."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from contents import Content
from simulation.people import CAST

from crdt_chat.config import Limits
from crdt_chat.errors import LocalFault, RemoteFault
from crdt_chat.identity import Grant, Role
from crdt_chat.server.moderation.moderation import Moderation, Request
from crdt_chat.server.moderation.moderators import open_flags
from store.errors import StoreError
from store.moderation import Moderated, ModerationEntry
from store.records import PageCommit
from store.tenants import AuditEntry

if TYPE_CHECKING:
    from .disk import Handle
    from .history import History
    from .process import Process

LIMITS = Limits()

Said = tuple[str, str, int]
"""Of what, by whom, when (ms)."""


class Notes:
    """What one process reaches of the notes beside the pages: late, and perhaps not at all."""

    def __init__(
        self, handle: "Handle", kept: Moderated, watch: Callable[[ModerationEntry], None]
    ) -> None:
        self._handle = handle
        self._kept = kept
        self._watch = watch

    async def note(self, entry: ModerationEntry, audit: AuditEntry | None = None) -> int:
        number = await self._handle.reached(self._kept.note, entry, audit)
        self._watch(entry)
        return number

    async def of(self, tenant: str, page: str) -> list[ModerationEntry]:
        return await self._handle.reached(self._kept.of, tenant, page)


class Ruled:
    """What is durable of one page's moderation, and what ever was."""

    def __init__(self) -> None:
        self.noted: list[ModerationEntry] = []
        self.hidden: set[str] = set()
        self._ever_hidden: set[Said] = set()
        self._ever_closed: set[Said] = set()

    def add(self, commit: PageCommit) -> None:
        """A commit is durable now."""
        self.noted += commit.moderated
        for change in commit.projected:
            if change.root == "closed" and change.value is not None:
                value = json.loads(change.value)
                self._ever_closed.add((change.name, value["by"], int(value["at"])))
        for name, content in commit.held:
            held = json.loads(content)
            self._ever_hidden.add((name, held["by"], int(held["at"])))
            self.hidden.add(name)
        self.hidden.difference_update(commit.released)

    def check(self, body: Mapping[str, Any]) -> None:
        """This frame leaves for a moderator."""
        if not body["moderates"]:
            return
        flags = {(one.entity, one.user, one.at) for one in self.noted if one.action == "flag"}
        for name, durable in (
            ("flags", flags),
            ("hidden", self._ever_hidden),
            ("closed", self._ever_closed),
            ("rulings", {(one.entity, one.user, one.at) for one in self.noted}),
        ):
            early = said(body, name) - durable
            assert not early, f"moderators are told of {name} before it is durable: {early}"

    def differences(self, body: Mapping[str, Any] | None, content: Content) -> str:
        """What a moderator who was told this, and nothing since, does not know or should not."""
        if body is None:
            return "nothing was told"
        closed = content.get("closed", {}).items()
        flags = {(one.entity, one.user, one.at) for one in open_flags(self.noted)}
        truth = {
            "flags": flags,
            "closed": {(name, v["by"], int(v["at"])) for name, v in closed if v["closed"]},
        }
        wrong = [f"{name}: {said(body, name)}, not {right}" for name, right in truth.items()
                 if said(body, name) != right]  # fmt: skip
        hidden = {entry["entity"] for entry in body["hidden"]}
        if hidden != self.hidden:
            wrong.append(f"hidden: {hidden}, not {self.hidden}")
        rulings = [
            (one.entity, one.action, one.user, one.at, one.reason)
            for one in self.noted
            if one.action != "flag"
        ][: -LIMITS.moderation_rulings - 1 : -1]
        if (told := [tuple(entry.values()) for entry in body["rulings"]]) != rulings:
            wrong.append(f"rulings: {told}, not {rulings}")
        return "; ".join(wrong)


def said(body: Mapping[str, Any], name: str) -> set[Said]:
    """What a frame tells under this name."""
    who = "user" if name == "flags" else "by"
    return {(entry["entity"], entry[who], entry["at"]) for entry in body[name]}


async def moderate(history: "History", process: "Process") -> None:
    """Somebody flags something, or a moderator acts, over HTTP."""
    rng, key = history.rng, history.rng.choice(history.pages)
    content = history.durable[key.page].content()
    hidden = history.durable[key.page].ruled.hidden
    named = {
        "flag": [*content.get("annotations", {}), *content.get("comments", {})],
        "unhide": hidden,
        "close": [*content.get("annotations", {}), "page"],
        "reopen": content.get("closed", {}),
    }
    named["hide"] = named["dismiss"] = named["flag"]
    action = rng.choice(["flag", "flag", "hide", "unhide", "close", "reopen", "dismiss"])
    if not named[action]:
        return
    entity = rng.choice(sorted(named[action]))
    moderation = Moderation(process.rooms, process.handle.moderation)
    user = "cat|7" if action == "flag" else "mod@example.org"
    verb: Callable[..., Awaitable[None]] = moderation.flag if action == "flag" else moderation.act
    history.note(f"HTTP {user} {action} {entity}")
    grant = Grant(key.tenant, user, user.title(), CAST[user])
    assert action == "flag" or grant.role >= Role.MODERATOR
    try:
        await verb(key, grant, Request(action, entity, f"why {next(history.fresh)}"))
    except (RemoteFault, LocalFault, StoreError) as fault:
        # As server/web/answers.py: 1013 for our own.
        history.note(f"HTTP is answered {fault!r}")
    else:
        history.counts[f"moderated: {action}"] += 1
