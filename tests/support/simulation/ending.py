"""How a history must end: everybody equal, nothing forbidden anywhere, no complaint of Yjs."""

from contents import Content, canonical

from .oracle import EVIL
from .replicas import PycrdtPeer, YjsTab
from .room import content_of, texts_of
from .world import World


def compare(world: World) -> None:
    """Everybody, late joiners and reloads included, shows the same page."""
    content = world.room.content()
    expected = canonical(content)
    for tab in world.tabs:
        assert not tab.replica.pending(), f"{tab.name} waits for something"
        shown = tab.replica.content()
        world.counts[f"replicas equal at the end: {'offenders' if tab.attacker else 'honest'}"] += 1
        assert canonical(shown) == expected, f"{tab.name}: {differences(shown, content)}"
    assert canonical(content_of(world.room.reloaded())) == expected, "a reload differs"
    state = world.room.page.state()
    yjs = YjsTab(world.peers, "late joiner", world.client_id(), gc=True, undo=False)
    python = PycrdtPeer(world.client_id(), gc=True, echoes=False)
    for late in (yjs, python):
        late.receive(state)
        assert not late.pending(), "a late joiner waits for something"
        assert canonical(late.content()) == expected, "a late joiner differs"
        late.drop()


def search(world: World) -> None:
    """No forbidden text is in any frame, in the state or beside it."""
    needle = EVIL.encode()
    searched = (*world.room.frames, *world.room.durable.journal, world.room.page.state())
    for frame in searched:
        assert needle not in frame, f"forbidden text in {frame!r}"
    world.counts["frames searched for forbidden texts"] += len(searched)
    for text in texts_of(world.room.durable.rows):
        assert EVIL not in text, f"forbidden text is kept: {text}"


def listen(world: World) -> None:
    """Yjs has had nothing to complain of, but for what the attacker did to herworld."""
    forged = world.counts["attack by hand"] > 0
    complaints = world.peers.complaints()
    assert not any(unexpected(one, forged=forged) for one in complaints), complaints


def unexpected(complaint: str, *, forged: bool) -> bool:
    """Yjs notices when somebody forges structs under a replica's own client id; that is all."""
    return not (forged and "Changed the client-id" in complaint)


def differences(shown: Content, content: Content) -> str:
    """The keys that differ, with what the replica shows and what the server has."""
    keys = {(root, name) for one in (shown, content) for root in one for name in one[root]}
    pairs = {
        key: (shown.get(key[0], {}).get(key[1]), content.get(key[0], {}).get(key[1]))
        for key in keys
    }
    return "\n".join(f"{key}: {a} | {b}" for key, (a, b) in pairs.items() if a != b)
