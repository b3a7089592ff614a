"""HTTP as legacy browsers need it: faults as the JSON of both published shapes (legacy-protocol 3.4)."""

from starlette.responses import Response

from crdt_chat.errors import RemoteFault
from crdt_chat.protocol import text_chat
from crdt_chat.server.access.auth import Authority
from crdt_chat.server.web import answers
from crdt_chat.server.web.answers import Handler, answer, json_body, tenant_in_path

__all__ = ["Handler", "answer", "guarded", "json_body"]


def guarded(handler: Handler, authority: Authority) -> Handler:
    """`handler` with CORS, preflight and told faults."""
    return answers.guarded(handler, authority, tenant_in_path, _told)


def _told(fault: RemoteFault) -> Response:
    return answer(text_chat.fault(fault), fault.status)
