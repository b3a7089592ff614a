"""For those who operate the server: /healthz, /readyz, /version and /metrics. Never any content."""

from collections.abc import Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from crdt_chat.server.access.loopback import is_direct_loopback
from crdt_chat.server.process.metrics import CONTENT_TYPE
from crdt_chat.server.process.versions import versions

PLAIN_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def routes(
    *,
    version: Mapping[str, str],
    problems: Callable[[], Sequence[str]],
    render_metrics: Callable[[], bytes],
    is_admin: Callable[[Request], bool] = lambda _request: False,
) -> list[Route]:
    """The four routes.

    version: what /version answers besides `versions()`. problems: sentences why the server should
    get no new visitors (starting, stopping, disk full); none means ready. render_metrics: the
    Prometheus text. is_admin: whether a request from elsewhere carries an admin's token. None of
    them may block.
    """
    stands_on = {**versions(), **version}

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=PLAIN_HEADERS)

    async def readyz(_request: Request) -> Response:
        found = list(problems())
        status = {"status": "not ready", "problems": found} if found else {"status": "ready"}
        return JSONResponse(status, 503 if found else 200, headers=PLAIN_HEADERS)

    async def show_version(_request: Request) -> Response:
        return JSONResponse(stands_on, headers=PLAIN_HEADERS)

    async def metrics(request: Request) -> Response:
        host = None if request.client is None else request.client.host
        if not (is_direct_loopback(host, request.headers) or is_admin(request)):
            sentence = "Metrics are for direct requests from this machine or with an admin's token."
            return PlainTextResponse(sentence + "\n", 403, headers=PLAIN_HEADERS)
        return Response(render_metrics(), media_type=CONTENT_TYPE, headers=PLAIN_HEADERS)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/version", show_version),
        Route("/metrics", metrics),
    ]
