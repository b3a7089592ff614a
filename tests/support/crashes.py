"""Rounds in which the real server dies under real clients, and what they were promised is looked for."""

import time
from collections.abc import Callable
from random import Random

from crowd import Outcome, Promised, gathered
from server import RealServer
from waiting import until
from yjs_peer import YjsPeers

LONGEST_S = 1.5
"""The server lives at most this long under load."""

Crash = Callable[[RealServer], None]
"""Ends the server the hard way and leaves what it had on the disk as the crash left it."""


def kill(server: RealServer) -> None:
    """kill -9."""
    server.kill()


def crashed(
    peers: YjsPeers,
    server: RealServer,
    seed: int,
    page: str,
    crash: Crash = kill,
    *,
    least: int = 0,
) -> Outcome:
    """One round on a page of its own: write, crash, start again, look, and agree.

    `server` runs before and after. The moment, and all that is written, come from the seed; but not before
    so many things (`least`) were seen, acknowledged and told as events: a busy machine takes its time.
    """
    chance = Random(seed)
    with gathered(peers, server, page, chance) as crowd:
        crowd.begin()
        time.sleep(chance.uniform(0.0, LONGEST_S))
        until(lambda: _fewest(crowd.promised()) >= least)
        crash(server)
        crowd.rest()
        crowd.watcher.wait(connected=False)
        promised = crowd.promised()
        # The writers would bring back what was lost: they stay away until somebody has looked.
        crowd.part()
        server.start()
        outcome = crowd.look(promised, crowd.newcomer())
        crowd.meet()
        outcome.written = crowd.agree()
    return outcome


def _fewest(promised: Promised) -> int:
    return min(len(promised.seen), len(promised.acknowledged), len(promised.events))
