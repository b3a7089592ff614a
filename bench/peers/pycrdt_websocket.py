"""pycrdt-websocket with SQLiteYStore on uvicorn, the lock around room creation that it needs included."""

import sys

import anyio
import uvicorn
from pycrdt.store import SQLiteYStore
from pycrdt.websocket import ASGIServer, WebsocketServer, YRoom, exception_logger

HOST, PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Store(SQLiteYStore):
    db_path = FILE


class Rooms(WebsocketServer):
    """Without the lock, clients that come at the same time hang (two start one room)."""

    def __init__(self) -> None:
        super().__init__(exception_handler=exception_logger)
        self.creating = anyio.Lock()

    async def get_room(self, name: str) -> YRoom:
        async with self.creating:
            if name not in self.rooms:
                store = Store(name)
                await self._task_group.start(store.start)
                room = YRoom(ready=False, ystore=store, exception_handler=exception_logger)
                await load(store, room)
                self.rooms[name] = room
            room = self.rooms[name]
            await self.start_room(room)
        return room

    async def start_room(self, room: YRoom) -> None:
        if not room.started.is_set():
            await super().start_room(room)


async def load(store: Store, room: YRoom) -> None:
    try:
        await store.apply_updates(room.ydoc)
    except Exception as error:
        if type(error).__name__ != "YDocNotFound":
            raise
    room.ready = True


async def main() -> None:
    rooms = Rooms()
    async with rooms:
        config = uvicorn.Config(
            ASGIServer(rooms),
            host=HOST,
            port=PORT,
            ws="websockets-sansio",
            loop="uvloop",
            ws_per_message_deflate=False,
            log_level="warning",
            ws_max_size=2**26,
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
