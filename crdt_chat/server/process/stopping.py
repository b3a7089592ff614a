"""The end of a process that was asked to stop: what takes longer than a graceful stop may is cut.

Python waits at its exit for every thread that works, and no thread can be stopped: a page that judges
megabytes would keep the process for that long. What it makes was never acknowledged, and the file
survives a cut at any moment, as it survives SIGKILL.
"""

import logging
import os
import threading

log = logging.getLogger(__name__)


class Stop:
    """Ends the process some seconds after `begin`, if it has not come to its end by then.

    One that has been served in ends itself only where threads of the server still work: they are
    those that were not there when this was made.
    """

    def __init__(self, seconds: float) -> None:
        self._before = frozenset(threading.enumerate())
        self._served = False
        self._timer = threading.Timer(seconds, self._cut)
        # Python does not wait for it.
        self._timer.daemon = True

    def begin(self) -> None:
        """From now on it counts."""
        self._timer.start()

    def served(self) -> None:
        """The store is closed: nothing is left to do but what threads still do for nobody."""
        self._served = True
        if not self._at_work():
            self._timer.cancel()

    def _at_work(self) -> bool:
        return any(not (t.daemon or t in self._before) for t in threading.enumerate())

    def _cut(self) -> None:
        if self._served and not self._at_work():
            return
        log.warning("what was still under way at the end was cut; it was never acknowledged")
        os._exit(0)
