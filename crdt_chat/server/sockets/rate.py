"""A token bucket that answers with a delay instead of a refusal: too fast is slowed, never lost."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """`rate` tokens a second, at most `burst` saved up. Times in seconds of a monotonic clock."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    since: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, amount: float, now: float) -> float:
        """Take tokens, going into debt if need be. Returns the seconds until the debt is paid."""
        if self.rate == float("inf"):
            return 0.0
        self.tokens = min(self.burst, self.tokens + (now - self.since) * self.rate)
        self.since = now
        self.tokens -= amount
        return max(0.0, -self.tokens / self.rate)
