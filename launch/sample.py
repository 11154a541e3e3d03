"""Draw samples from a workdir's model.

python launch/sample.py --workdir=W --num_samples=64 --output=S.npz [--figure=S.png]
"""

from absl import flags

from rlvm.launch.flags import define_checkpoint, define_folders, define_workdir, run


def main() -> None:
    """Sample."""
    from rlvm.jobs import sample as job

    arrays = job.sample(
        WORKDIR.value,
        NUM_SAMPLES.value,
        SEED.value,
        CHECKPOINT.value,
        DATA_DIR.value,
        MANUAL_DIR.value,
    )
    job.save(arrays, OUTPUT.value, FIGURE.value, WORKDIR.value)


if __name__ == "__main__":
    WORKDIR, CHECKPOINT = define_workdir(), define_checkpoint()
    DATA_DIR, MANUAL_DIR = define_folders()
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 64, "How many.", 1)
    SEED = flags.DEFINE_integer("seed", 0, "Seed of the draws.")
    OUTPUT = flags.DEFINE_string("output", "samples.npz", "Arrays `samples` and `nearest_train`.")
    FIGURE = flags.DEFINE_string("figure", "", "Also draw them to this .png.")
    run(main)
