"""How much one page may hold and how long its texts may be (design 3 and 15): defaults, per tenant."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Sizes in Unicode code points, counts in live entities, `state` in bytes of encoded document.

    commenters_annotate, editors_resolve, any_writer_resolves: what a tenant adds to its roles (powers.py).
    clock_ahead_ms: how far in the future something new may say it was made. A page by itself takes any
    time, as design 4 does; a server's default is five minutes (config.settings.SERVED).
    """

    body: int = 10_000
    quote: int = 2_000
    context: int = 200
    title: int = 500
    broadcast_id: int = 100
    source: int = 2_048
    url_id_with_range: int = 4_096
    selectors: int = 8
    annotations: int = 10_000
    comments: int = 50_000
    reactions_per_user: int = 20
    state: int = 16 * 1024 * 1024
    commenters_annotate: bool = False
    editors_resolve: bool = False
    any_writer_resolves: bool = False
    clock_ahead_ms: int = 2**53 - 1
