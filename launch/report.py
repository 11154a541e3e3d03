"""Join result lines into a Markdown table; with --readme, rewrite that file's generated section.

python launch/report.py --results=configs/darn/results.jsonl [--readme=README.md]
python launch/report.py --sweep=W [--figure=F.png]      (the trials of a sweep, the best first)
"""

import pathlib

from absl import flags

from rlvm.launch.flags import run


def main() -> None:
    """Report."""
    if SWEEP.value:
        report_sweep()
    elif RESULTS.value:
        report_results()
    else:
        raise ValueError("Pass --results or --sweep.")


def report_results() -> None:
    """The table of a results file."""
    from rlvm.jobs import report

    path = RESULTS.value
    text = report.table(report.read_results(path), report.read_published(path))
    if README.value:
        readme = pathlib.Path(README.value)
        family = pathlib.Path(path).parent.name
        readme.write_text(report.update(readme.read_text(), family, text))
    print(text)


def report_sweep() -> None:
    """The table of a sweep, and its picture."""
    from rlvm.jobs import figures, sweep

    study = sweep.resume(SWEEP.value)
    if FIGURE.value:
        figures.draw_sweep(sweep.points(study), FIGURE.value)
    print(sweep.table(study))


if __name__ == "__main__":
    RESULTS = flags.DEFINE_string("results", "", "A results.jsonl.")
    README = flags.DEFINE_string("readme", "", "A file with two marks <!-- results:FAMILY -->.")
    SWEEP = flags.DEFINE_string("sweep", "", "The --workdir of a sweep.")
    FIGURE = flags.DEFINE_string("figure", "", "Draw the sweep to this .png.")
    run(main)
