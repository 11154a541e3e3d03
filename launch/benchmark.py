"""Time our training step beside PyTorch's and its own matmuls; prints one JSON object.

python launch/benchmark.py --suite=train|ssm|ladder|sampling|darn|tiled

Needs the extra `benchmark`; use a quiet machine.
"""

import json

from absl import flags

from rlvm.launch.flags import run


def main() -> None:
    """Benchmark."""
    from rlvm.jobs.benchmark import benchmark

    print(json.dumps(benchmark(SUITE.value), indent=1))


if __name__ == "__main__":
    SUITE = flags.DEFINE_string("suite", "train", "train, ssm, ladder, sampling, darn or tiled.")
    run(main)
