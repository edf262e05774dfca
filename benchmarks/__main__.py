"""All benchmarks, one after another: `python -m benchmarks`. The exit code is 0 if no target is missed, else 1."""

from __future__ import annotations

import sys

from benchmarks import backward, keys, live, memory, optimise, slow_link, startup, wire

if __name__ == "__main__":
    codes = []
    for benchmark in (startup, wire, live, slow_link, backward, optimise, keys, memory):
        print((benchmark.__doc__ or "").partition("\n")[0], flush=True)
        codes.append(benchmark.main())
    sys.exit(max(codes))
