"""Whose the Yjs client ids of a page are: what readers announced is kept before the page is let go of."""

from crdt_chat.server.rooms.room import Room
from store.records import Appended, PageCommit


async def keep_owners(room: Room) -> bool:
    """Make durable whose the announced Yjs client ids are. Returns whether none is left.

    They wait for a commit otherwise, which on a page that is only read never comes. Of a page that nobody
    ever wrote to nothing is kept.
    """
    page, owners = room.page, tuple(room.page.announced)
    if not owners or not room.committed:
        return True
    part = PageCommit(room.key.tenant, room.key.page, room.committed, owners=owners)
    (result,) = await room.services.store.commit([part])
    if not isinstance(result, Appended):
        return False
    if page is room.page:
        page.announced[:] = [owner for owner in page.announced if owner not in owners]
    return not room.page.announced
