"""Run many trials of a config, here or as commands for a cluster; prints their table.

python launch/sweep.py --config=darn/uci:adult --sweep=darn_uci --workdir=W [--num_workers=2]
python launch/sweep.py --config=C --sweep=S --workdir=W --commands=slurm     (prints, runs nothing)
python launch/sweep.py --workdir=W --trial=3                                 (what these run)
"""

from absl import flags

from rlvm.launch.flags import define_config, define_folders, define_workdir, run


def main() -> None:
    """Sweep."""
    from rlvm.jobs import sweep, sweep_report

    folders = (DATA_DIR.value, MANUAL_DIR.value)
    if TRIAL.value is not None:
        study = sweep.resume(WORKDIR.value, *folders)
        sweep.run_trial(study, TRIAL.value, STAGE.value)
        return
    if CONFIG.value is None or SWEEP.value is None:
        raise ValueError("Pass --config and --sweep, or --trial with the --workdir of a sweep.")
    study = sweep.start(WORKDIR.value, CONFIG.value, sweep.find_sweep(SWEEP.value), *folders)
    if COMMANDS.value:
        print("\n".join(sweep.commands(study, COMMANDS.value)))
        return
    sweep.run(study, NUM_WORKERS.value)
    print(sweep_report.table(study))


if __name__ == "__main__":
    CONFIG, WORKDIR = define_config(required=False), define_workdir()
    DATA_DIR, MANUAL_DIR = define_folders()
    SWEEP = flags.DEFINE_string("sweep", None, "configs/sweeps/darn_uci.py, or darn_uci.")
    NUM_WORKERS = flags.DEFINE_integer("num_workers", 1, "Trials at a time.", 1)
    TRIAL = flags.DEFINE_integer("trial", None, "Run this one trial of a recorded sweep.", 0)
    STAGE = flags.DEFINE_enum("stage", "trial", ["trial", "promoted"], "Which stage of it.")
    COMMANDS = flags.DEFINE_string("commands", "", "Print commands instead: plain or slurm.")
    run(main)
