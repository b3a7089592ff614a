"""Fixtures of the attacks: one arena for all of them, a scene for each."""

from collections.abc import Callable, Iterator

import pytest
from arena import Arena, running_arena
from scene import Scene
from yjs_peer import YjsPeers, yjs_process

__all__ = ["yjs_process"]


@pytest.fixture(scope="session")
def arena(yjs_process: YjsPeers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The server of all attacks in this process; at its end it is killed and looked at again."""
    with running_arena(tmp_path_factory.mktemp("arena"), yjs_process) as running:
        yield running


@pytest.fixture
def stage(
    arena: Arena, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[Callable[..., Scene]]:
    """Make scenes with one's own settings; each is one attack that is counted."""
    scenes: list[Scene] = []
    counted = arena.counted
    before = counted.frames, counted.searched, counted.found

    def make(**options: object) -> Scene:
        scenes.append(Scene(arena, **options))  # type: ignore[arg-type]
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()
    complaints = arena.yjs.complaints()
    assert not complaints, complaints
    record_property("attacks", len(scenes))
    record_property("attacks: forbidden inputs in them", sum(scene.attacks for scene in scenes))
    record_property("attacks: frames searched", arena.counted.frames - before[0])
    record_property("attacks: searches of files", arena.counted.searched - before[1])
    record_property("attacks: forbidden texts found", arena.counted.found - before[2])


@pytest.fixture
def scene(stage: Callable[..., Scene]) -> Scene:
    """The usual scene: eve is an editor with a thread of her own, and online."""
    return stage()


@pytest.fixture(params=["online", "offline"])
def both(stage: Callable[..., Scene], request: pytest.FixtureRequest) -> Scene:
    """The usual scene twice: eve acts online, and in an offline batch."""
    return stage(offline=request.param == "offline")
