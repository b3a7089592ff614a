"""The reason of what moderators put back: the same in JSON, legacy listing, CLI, Python and sockets."""

import itertools
import queue
from typing import Any

import httpx
import pytest
from entries import deletion, thread
from raw_client import RawClient
from trusted import TrustedServer, token, trusted
from waiting import PATIENCE_S
from yjs_peer import YjsPeers

import crdt_chat

pytestmark = pytest.mark.node
__all__ = ["trusted"]

PAGES = (f"ruled-{number}" for number in itertools.count())
SAID = [
    ("hide", "a1/c1", "it is rude"),
    ("unhide", "a1/c1", "it is a quotation"),
    ("restore", "a2", "deleted by mistake"),
    ("close", "a1", "enough"),
    ("reopen", "a1", "they are calm"),
    ("close", "page", "a wave of spam"),
    ("reopen", "page", "the wave is over"),
    ("dismiss", "a1", "it may stay"),
]
"""Action, entity and reason, in this order; eve does it all."""

Told = list[tuple[str, str, str, str]]


def short(entries: list[dict[str, Any]], who: str = "by") -> Told:
    return [(e["action"], e["entity"], e["reason"], e[who]) for e in entries]


def on_the_wire(client: RawClient, count: int) -> dict[str, Any]:
    """The first frame for moderators that tells of so many rulings."""
    while True:
        frames = [body for body in client.controls if body["type"] == "moderation"]
        if frames and frames[-1]["moderates"] and frames[-1]["counts"]["rulings"] == count:
            return frames[-1]
        client.read()


def in_the_listing(server: TrustedServer, page: str, bearer: str) -> dict[str, Any]:
    url, headers = (
        f"{server.http}/comment-collab-chats/acme",
        {"authorization": f"Bearer {bearer}"},
    )
    found: dict[str, Any] = httpx.get(url, params={"urlId": page}, headers=headers).json()
    return found


def test_the_reason_of_what_was_put_back_is_told_by_every_interface(
    trusted: TrustedServer, yjs: YjsPeers
) -> None:
    page, eve = next(PAGES), token(user="eve", role="moderator")
    params = {"token": token(user="ada")}
    ada = yjs.browser("ada", trusted.running.ws("acme"), page, params=params).wait(synced=True)
    ada.transact([*thread("ada", "a1"), *thread("ada", "a2")])
    ada.transact(deletion("ada", "a2", ("comments", "a2/c1")))
    url, bearer = (
        f"{trusted.http}/api/v1/tenants/acme/moderation",
        {"authorization": f"Bearer {eve}"},
    )
    yjs.browser("bob", trusted.running.ws("acme"), page, params=params).wait(
        has=[("deleted", "a2/ada")]
    )
    # A stock provider with one handler, as the demo's desk is, and a program of a moderator's.
    params = {"token": eve, "caps": "moderation.1"}
    desk = yjs.browser("desk", trusted.running.ws("acme"), page, params=params).wait(synced=True)
    with (
        trusted.client(page, query={"caps": "crdt-chat.1,moderation.1", "token": eve}) as socket,
        crdt_chat.connect(trusted.http.replace("http", "ws"), f"acme/{page}", token=eve) as program,
    ):
        news: queue.Queue[Any] = queue.Queue()
        program.on("moderation", lambda _event: news.put(program.watched))
        for action, entity, reason in SAID:
            body = {"page": page, "action": action, "entity": entity, "reason": reason}
            answer = httpx.post(url, json=body, headers=bearer)
            assert answer.status_code == 204, answer.text
        done = [(*said, "eve") for said in SAID]
        frame = on_the_wire(socket, len(SAID))
        assert short(frame["rulings"]) == done[::-1]
        desk.wait(control={"rulings": frame["rulings"]})
        while (watched := news.get(timeout=PATIENCE_S)) is None or len(watched["rulings"]) < len(
            SAID
        ):
            pass
        assert short(watched["rulings"]) == done[::-1]
        assert short(program.moderation()["log"], "user") == done
    seen = httpx.get(url, params={"page": page}, headers=bearer).json()
    assert short(seen["log"], "user") == done
    assert in_the_listing(trusted, page, eve)["moderation"] == seen
    shown = trusted.command("moderate", "acme", "--page", page).splitlines()
    for action, entity, reason in SAID:
        assert any(
            line.startswith(f"{action:8} {entity} by eve") and reason in line for line in shown
        )
    # Who does not moderate reads the page, and none of the reasons.
    said = str(ada.frames("in")) + str(in_the_listing(trusted, page, token(user="ada")))
    assert not [reason for _, _, reason in SAID if reason in said]
