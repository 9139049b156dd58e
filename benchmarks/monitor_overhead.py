"""What ``--monitor`` costs: pairs of the same work with and without it.

    python benchmarks/monitor_overhead.py [--pairs N] [--interval SECONDS]

Both of a pair do the same work; the order alternates. What is compared is the CPU time of the
process, which the sampling thread is part of and other programs are not. Ends with status 1 if
the median of the paired differences is 1 % or more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from pytest_applesilicon.monitor import Monitor

#: Loop rounds of one side of a pair: about one second.
ROUNDS = 12_000_000


def work() -> float:
    """CPU seconds of this process for a fixed amount of work."""
    start = time.process_time()
    total = 0
    for value in range(ROUNDS):
        total += value
    assert total
    return time.process_time() - start


def monitored(interval_s: float) -> float:
    """The same under a monitor."""
    watching = Monitor(interval_s)
    watching.start()
    try:
        return work()
    finally:
        watching.stop()


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--interval", type=float, default=1.0)
    asked = parser.parse_args()
    work()
    differences = []
    for number in range(asked.pairs):
        if number % 2:
            plain, watched = work(), monitored(asked.interval)
        else:
            watched, plain = monitored(asked.interval), work()
        differences.append(100 * (watched - plain) / plain)
    median = statistics.median(differences)
    low, _, high = statistics.quantiles(differences, n=4)
    print(
        f"{asked.pairs} pairs, a sample every {asked.interval:g} s: median {median:+.2f} %, "
        f"middle half {low:+.2f} to {high:+.2f} %"
    )
    cost_s = one_sample()
    print(f"one sample costs {cost_s * 1e6:.0f} us: {100 * cost_s / asked.interval:.4f} %")
    return int(median >= 1.0)


def one_sample() -> float:
    """CPU seconds of one sample, over many."""
    watching, count = Monitor(1.0), 1000
    start = time.process_time()
    for _ in range(count):
        watching.sample()
    return (time.process_time() - start) / count


if __name__ == "__main__":
    sys.exit(main())
