"""The legacy socket `/sub`: its page, its pings, its people, its weight, and readers who do not read."""

import time
from pathlib import Path
from urllib.parse import quote

import pytest
from legacy_client import PAGES, Legacy, annotate, never_reading
from server import StartServer
from waiting import PATIENCE_S
from yjs_peer import YjsBrowser

pytestmark = pytest.mark.node


@pytest.mark.parametrize("spelling", ["demo:{}", "demo%3A{}", "demo%253A{}", "{}", None])
def test_every_spelling_of_the_page_is_the_same_room(ada: Legacy, spelling: str | None) -> None:
    token = ada.listing()["urlIdWS"]
    assert quote(token, safe="") == token
    with ada.sub(spelling and spelling.format(ada.page)) as sub:
        ada.post("b-spelled")
        assert sub.event()["broadcastId"] == "b-spelled"


def test_a_page_of_another_tenant_is_refused(ada: Legacy) -> None:
    with ada.sub(f"other%3A{ada.page}") as sub:
        assert sub.closed() == 4403
    with ada.sub(tenant="nobody") as sub:
        assert sub.closed() == 4404


def test_a_text_ping_is_never_answered(ada: Legacy) -> None:
    with ada.sub() as sub:
        sub.until(lambda body: body["type"] == "p-u")
        sub.socket.send("ping")
        sub.socket.send("")
        sub.socket.ping().wait(PATIENCE_S)
        ada.post("b-after-ping")
        assert sub.event()["broadcastId"] == "b-after-ping"


def test_people_are_counted_across_both_protocols(ada: Legacy, bob: YjsBrowser) -> None:
    with ada.sub() as first:
        here = first.until(lambda body: body.get("sc") == 2)
        assert isinstance(here["ts"], int)
        with ada.sub() as second:
            assert second.frame()["sc"] == 2  # the same person in another tab
        bob.disconnect()
        left = first.until(lambda body: "bob" in body.get("ul", ()))
        assert left["sc"] == 1
        bob.connect()
        joined = first.until(lambda body: "bob" in body.get("uj", ()))
        assert joined["sc"] == 2


def test_a_new_annotation_costs_a_legacy_subscriber_under_1000_bytes(
    ada: Legacy, bob: YjsBrowser
) -> None:
    annotation = "01936f5e-7c1a-7b3c-9d2e-0123456789ab"
    with ada.sub() as sub:
        annotate(bob, annotation, "550e8400-e29b-41d4-a716-446655440000", "c" * 200)
        assert sub.event()["type"] == "new-text-chat"
    assert sub.size + 4 < 1_000  # a WebSocket frame of this size has a header of 4 bytes


def test_a_subscriber_that_never_reads_is_cut_and_disturbs_nobody(
    start_server: StartServer, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[limits]\nping_s = 1.0\npong_s = 5.0\n")
    server = start_server(arguments=("--limits", "off", "--config", str(settings)))
    ada = Legacy(server, next(PAGES), "ada")
    gauge = b'crdt_chat_connections{channel="legacy"} '
    with ada.http, ada.sub() as reader, never_reading(server, ada.listing()["urlIdWS"]):
        large = {"exact": "字" * 2_000, "prefix": "字" * 200, "suffix": "字" * 200}
        sent = 0
        deadline = time.monotonic() + 60
        while sent < 150 or gauge + b"1.0" not in server.get("/metrics")[1]:
            assert time.monotonic() < deadline
            for _ in range(20):
                assert ada.post(f"b-{sent}", **large).status_code == 200
                assert reader.event()["broadcastId"] == f"b-{sent}"
                sent += 1


def test_a_large_offline_batch_reaches_a_subscriber_whole(ada: Legacy, bob: YjsBrowser) -> None:
    target = {"selector": [{"type": "TextQuoteSelector", "exact": "字" * 1_000}]}
    value = {"creator": "bob", "created": 1, "target": target}
    with ada.sub() as sub:
        bob.disconnect()
        for number in range(1_000):
            said = value | {"broadcastId": f"b{number}"}
            bob.transact([("set", "annotations", f"a{number}", said)])
        bob.connect()
        told = [sub.event() for _ in range(1_000)]
    assert {event["broadcastId"] for event in told} == {f"b{number}" for number in range(1_000)}
    stamps = [event["timestamp"] for event in told]
    assert stamps == sorted(set(stamps))
