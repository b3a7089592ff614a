"""Kill the real server under real clients, again and again, and count what was promised and is lost.

python bench/kill.py --rounds 300 --seed 1       each round has the next seed
python bench/kill.py --rounds 1 --seed 217       round 217 once more
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from crashes import crashed  # noqa: E402
from crowd import Outcome  # noqa: E402
from server import running_server  # noqa: E402
from yjs_peer import YjsPeers  # noqa: E402


def told(outcome: Outcome) -> Counter[str]:
    """A round's counts."""
    return Counter(
        {
            "rounds": 1,
            "keys seen by others": outcome.seen,
            "keys acknowledged": outcome.acknowledged,
            "events told to legacy clients": outcome.events,
            "keys written in all": outcome.written,
            "lost": len(outcome.lost),
        }
    )


def main() -> int:
    """Run the rounds; 1 if anything was lost or replicas did not agree."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--seed", type=int, default=1, help="of the first round")
    args = options.parse_args()
    counts: Counter[str] = Counter()
    failed: list[int] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, YjsPeers() as peers:
        with running_server(Path(folder)) as server:
            for seed in range(args.seed, args.seed + args.rounds):
                try:
                    outcome = crashed(peers, server, seed, f"round-{seed}")
                except AssertionError as error:
                    print(f"\nseed {seed}: {error}")
                    return 1
                counts += told(outcome)
                if outcome.lost:
                    failed.append(seed)
                    print(f"\nseed {seed}: {len(outcome.lost)} lost, {outcome.lost[:3]}")
                print(f"\rseed {seed}: {counts['lost']} lost", end="", flush=True)
        complaints = peers.complaints()
    seconds = time.perf_counter() - began
    last = args.seed + args.rounds - 1
    print(f"\rseeds {args.seed}..{last}, kill -9, {seconds / args.rounds:.1f} s a round")
    for name in told(Outcome()):
        print(f"{counts[name]:8d}  {name}")
    for complaint in complaints[:5]:
        print("yjs complains:", complaint)
    return 1 if failed or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
