"""For those who operate the server: /healthz, /readyz, /version and /metrics. Never any content."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from crdt_chat.server.metrics import CONTENT_TYPE
from crdt_chat.server.origins import LOCAL, is_local
from crdt_chat.server.versions import versions

FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of a request that came through a proxy: its loopback address is the proxy's."""
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


def is_direct_loopback(host: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request of this host was made on this machine, under a name of it, and by no proxy.

    The name, because any web site can let its own name mean 127.0.0.1 to a reader's browser (DNS
    rebinding); what she has here would be of its own origin then.
    """
    if host is None or not _is_loopback(host) or any(name in headers for name in FORWARDING):
        return False
    return is_local(_hostname(headers.get("host", LOCAL)))


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # a dual-stack socket sees 127.0.0.1 as ::ffff:127.0.0.1
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _hostname(host: str) -> str:
    """The name in a Host header, "" for what is none (RFC 9110, 7.2)."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
