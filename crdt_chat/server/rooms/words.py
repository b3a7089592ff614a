"""What a room says to a peer in control frames, and how it names faults of its own."""

from dataclasses import asdict

from crdt_chat.config import Limits
from crdt_chat.errors import (
    Forbidden,
    LocalFault,
    Malformed,
    PageBroken,
    StoreUnavailable,
    UpdateBroken,
)
from crdt_chat.identity import Grant
from crdt_chat.page.limits import PageLimits
from crdt_chat.page.verdict import Verdict
from store.records import CommitResult

RELOAD = "a change was not allowed here: reload the page to go on"
"""Said to a stock client that must start with a fresh document."""

CLIENTS_FAULT = frozenset({"shape", "size", "key"})
"""Rules that a wrong request runs into; all others say that the person may not do it."""


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


def accuse(fault: Exception) -> None:
    """Raise Malformed against the sender of an update that broke a page, unless it was broken before."""
    if not isinstance(fault, PageBroken) or isinstance(fault, UpdateBroken):
        raise Malformed("an update that cannot be applied") from fault


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
        "operations": operations(verdict),
    }


def operations(verdict: Verdict) -> list[dict[str, str]]:
    """What was refused, in the same words whichever way it came."""
    return [
        {"key": refusal.key, "rule": refusal.rule, "reason": refusal.reason}
        for refusal in verdict.refusals
    ]


def require_admitted(verdict: Verdict, saying: str = "") -> None:
    """Raises Malformed or Forbidden if anything was refused, with `saying` before its first reason."""
    if not verdict.refusals:
        return
    first = verdict.refusals[0]
    fault = (Malformed if first.rule in CLIENTS_FAULT else Forbidden)(saying + first.reason)
    fault.operations = tuple(operations(verdict))
    raise fault
