"""GET, POST and DELETE /comment-collab-chats/{tenant}: list, make and delete annotations."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from crdt_chat.errors import NotFound
from crdt_chat.identity import Grant, PageKey
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.powers import POWERS
from crdt_chat.page.verdict import Json
from crdt_chat.protocol import text_chat, text_chat_requests
from crdt_chat.protocol.url_ids import cleaned, page_token
from crdt_chat.server.access.auth import Authority, covered, page_key
from crdt_chat.server.legacy.answers import answer, json_body
from crdt_chat.server.legacy.content import Content, durable
from crdt_chat.server.legacy.repeats import Repeats
from crdt_chat.server.legacy.visitors import visitor
from crdt_chat.server.moderation.moderation import Moderation
from crdt_chat.server.rooms.rooms import Rooms
from crdt_chat.server.rooms.rulings import noted
from crdt_chat.server.rooms.words import require_admitted
from crdt_chat.server.web.pace import Pace
from store.protocol import Store


@dataclass(frozen=True, slots=True)
class Conversations:
    """The three verbs. Each write is one admitted server-made operation, durable when answered."""

    rooms: Rooms
    store: Store
    authority: Authority
    moderation: Moderation
    pace: Pace
    repeats: Repeats

    async def handle(self, request: Request) -> Response:
        """/comment-collab-chats/{tenant}"""
        return await (self._list(request) if request.method == "GET" else self._create(request))

    async def _list(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        who = visitor(request, tenant, self.authority, self.rooms.services.ids.text)
        page = cleaned(request.query_params.get("urlId", ""))
        key = covered(who.grant, page_key(tenant, page))
        known = await self._exists(key)
        chats = await self._chats(key) if known else []
        tokens = (page_token(tenant, key.page), who.token)
        told = text_chat.conversations(chats, key.page, who.grant, tokens)
        if known and POWERS[who.grant.role].moderates:
            # Ours: flags, what is hidden or deleted, and why. Old widgets skip what they do not know.
            told["moderation"] = await self.moderation.overview(key, who.grant)
        response = answer(told)
        who.remember(response, secure=request.url.scheme == "https")
        return response

    async def _chats(self, key: PageKey) -> list[dict[str, Json]]:
        """Every chat of a page."""
        async with self.rooms.open(key) as room:
            return await durable(room, Content.chats)

    async def _exists(self, key: PageKey) -> bool:
        """Whether anybody has written to the page: it is not opened for a reader else."""
        name = (key.tenant, key.page)
        return self.rooms.find(key) is not None or name in await self.store.heads([name])

    async def _create(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        who = visitor(request, tenant, self.authority, self.rooms.services.ids.text)
        services = self.rooms.services
        asked = text_chat_requests.creation(await json_body(request), self._limits(tenant))
        await self.pace.slow_down(who.grant, _address(request))
        key = covered(who.grant, page_key(tenant, asked.page))
        async with self.rooms.open(key) as room:
            made = (key, who.grant.user, asked)
            await room.awake()
            annotation = self.repeats.known(made)
            if annotation is None or room.page.value("annotations", annotation) is None:
                annotation, now = services.ids.text(), services.clock.now()
                operations = text_chat_requests.create(asked, annotation, who.grant, now)
                self.repeats.remember(made, annotation)
                require_admitted(await room.write(operations, who.grant, address=_address(request)))
            await room.settled()
        response = answer({"status": "success", "createdChatId": annotation})
        who.remember(response, secure=request.url.scheme == "https")
        return response

    async def delete(self, request: Request) -> Response:
        """DELETE /comment-collab-chats/{tenant}/{chat}"""
        tenant, chat = request.path_params["tenant"], request.path_params["chat"]
        who = visitor(request, tenant, self.authority, self.rooms.services.ids.text)
        fields = text_chat_requests.deletion_body(await json_body(request))
        said_id = text_chat_requests.broadcast_id(
            {**request.query_params, **fields}, self._limits(tenant)
        )
        await self.pace.slow_down(who.grant, _address(request))
        for key in await self._pages(request, chat, who.grant):
            if await self._delete_on(key, chat, who.grant, said_id, _address(request)):
                return answer({"status": "success"})
        raise NotFound("there is no such conversation")

    async def _pages(self, request: Request, chat: str, grant: Grant) -> Sequence[PageKey]:
        """Where to look: the path names no page, and ids are unique per page only."""
        tenant = request.path_params["tenant"]
        if request.query_params.get("urlId"):
            key = covered(grant, page_key(tenant, cleaned(request.query_params["urlId"])))
            return [key] if await self._exists(key) else []
        found = await self.store.pages_with(tenant, "annotations", chat)
        keys = [page_key(tenant, page) for page in found]
        return [key for key in keys if grant.covers(key)]

    async def _delete_on(
        self, key: PageKey, chat: str, grant: Grant, said_id: str, address: str
    ) -> bool:
        """Delete a chat on this page. False if it is not there. Raises Forbidden."""
        async with self.rooms.open(key) as room:
            await room.awake()
            there = room.page.value("annotations", chat)
            if there is None:
                return False
            operations = text_chat_requests.delete(
                chat,
                grant,
                self.rooms.services.clock.now(),
                said_id,
                room.page.below(chat),
            )
            others, now = there["creator"] != grant.user, self.rooms.services.clock.now()
            ruling = noted(key, grant, "delete", chat, now, address=address) if others else None
            require_admitted(await room.write(operations, grant, address=address, ruling=ruling))
        return True

    def _limits(self, tenant: str) -> PageLimits:
        settings = self.authority.config.tenant(tenant)
        return self.authority.config.page if settings is None else settings.page


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host
