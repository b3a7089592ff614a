"""What a room says to a peer in control frames, and how it names faults of its own."""

from dataclasses import asdict

from crdt_chat.config import Limits
from crdt_chat.errors import LocalFault, PageBroken, StoreUnavailable
from crdt_chat.identity import Grant
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Verdict
from store.records import CommitResult

RELOAD = "a change was not allowed here: reload the page to go on"
"""Said to a stock client that must start with a fresh document."""


def hello(epoch: int, grant: Grant, limits: Limits, page: PageLimits) -> dict[str, object]:
    """The first control frame of a connection: who it is here, and what it may send."""
    sizes = {"frame": limits.frame_bytes, "batch": limits.first_batch_bytes}
    return {
        "type": "hello",
        "epoch": epoch,
        "user": grant.user,
        "role": grant.role.name.lower(),
        "limits": sizes | asdict(page),
    }


def broken(fault: Exception) -> LocalFault:
    """The fault of a page whose gate or document failed."""
    if isinstance(fault, PageBroken):
        return fault
    broken = PageBroken(f"the gate failed: {type(fault).__name__}")
    broken.__cause__ = fault
    return broken


def failure(result: CommitResult) -> StoreUnavailable:
    """The fault of a commit that the store did not take."""
    fault = StoreUnavailable("the commit failed")
    fault.__cause__ = getattr(result, "error", None)
    return fault


def refused(verdict: Verdict) -> dict[str, object]:
    """The control frame that tells which keys were refused, by which rule, and why."""
    return {
        "type": "refused",
        "reset": verdict.repair == "reset",
        "operations": [
            {"key": refusal.key, "rule": refusal.rule, "reason": refusal.reason}
            for refusal in verdict.refusals
        ],
    }
