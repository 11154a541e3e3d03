"""Forecast a split from the first steps of each sequence; the last line on stdout is JSON.

python launch/forecast.py --workdir=W --split=test --prefix=12 --num_samples=200 \
    --num_particles=1000 --output=F.npz [--figure=F.png]
"""

import json

from absl import flags

from rlvm.launch.flags import define_checkpoint, define_folders, define_workdir, run


def main() -> None:
    """Forecast."""
    from rlvm.jobs import forecast as job
    from rlvm.jobs import forecast_figures

    request = job.Request(
        split=SPLIT.value,
        prefix=PREFIX.value,
        num_samples=NUM_SAMPLES.value,
        num_particles=NUM_PARTICLES.value,
        limit=LIMIT.value,
        checkpoint=CHECKPOINT.value,
    )
    scores, arrays = job.forecast(WORKDIR.value, request, DATA_DIR.value, MANUAL_DIR.value)
    if OUTPUT.value:
        job.save(arrays, OUTPUT.value)
    if FIGURE.value:
        forecast_figures.draw_futures({"forecast": arrays}, FIGURE.value)
    print(json.dumps(scores))


if __name__ == "__main__":
    WORKDIR, CHECKPOINT = define_workdir(), define_checkpoint()
    DATA_DIR, MANUAL_DIR = define_folders()
    SPLIT = flags.DEFINE_string("split", "test", "train, valid or test.")
    PREFIX = flags.DEFINE_integer("prefix", 12, "Steps that are given.", 1)
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 200, "Futures of each sequence.", 2)
    NUM_PARTICLES = flags.DEFINE_integer("num_particles", 1000, "Particles of the filter.", 1)
    LIMIT = flags.DEFINE_integer("limit", None, "Only the first N sequences.", 1)
    OUTPUT = flags.DEFINE_string("output", "forecast.npz", "Arrays prefix, samples and truth.")
    FIGURE = flags.DEFINE_string("figure", "", "Also draw the first futures to this .png.")
    run(main)
