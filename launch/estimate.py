"""Estimate what a training step costs, and how long pods and hosts would take for it; runs nothing.

python launch/estimate.py --config=configs/darn/binarized_mnist.py [--config.train.batch_size=4096]

The counts come from the program that would be compiled, the times from data sheets: see
rlvm/jobs/cost.py for what they leave out.
"""

from rlvm.launch.flags import define_config, define_folders, run


def main() -> None:
    """Estimate."""
    from rlvm.jobs import cost, experiment
    from rlvm.jobs.fit import fit

    data = experiment.load_data(CONFIG.value, DATA_DIR.value, MANUAL_DIR.value)
    config = fit(CONFIG.value, data)
    found = cost.of_config(config, experiment.example_batch(data))
    print(f"Batch {config.train.batch_size}: {found}")
    for name, machine in cost.MACHINES.items():
        times = cost.seconds(found, machine)
        bound = max(times, key=lambda part: times[part])
        parts = ", ".join(f"{part} {1e6 * value:.3g} us" for part, value in times.items())
        print(f"{name}: at least {1e6 * times[bound]:.3g} us a step, bound by {bound} ({parts})")


if __name__ == "__main__":
    CONFIG = define_config()
    DATA_DIR, MANUAL_DIR = define_folders()
    run(main)
