"""Join result lines into a Markdown table; with --readme, rewrite that file's generated section.

python launch/report.py --results=configs/darn/results.jsonl [--readme=README.md] [--csv=F.csv]
python launch/report.py --results=D --baseline=a [--csv=F.csv]      (what launch/evaluate.py left in
    the folder D, and the paired differences to the evaluation whose file's name begins with a)
python launch/report.py --sweep=W [--figure=F.png]      (the trials of a sweep, the best first)
python launch/report.py --plot=futures|final_positions|digits --figure=F.png \
    --arrays=full=F.npz,partial=P.npz      (what launch/forecast.py and launch/digits.py wrote)
python launch/report.py --plot=architecture|samples|probabilities|depths|representation \
    --workdirs=W1,W2 --figure=F.png        (figures 1 to 5 of the DARN paper)
python launch/report.py --plot=data|frames|groups --workdirs=W --figure=F.png
    (a ladder's data, frames above their predictions, a tagger's groups over iterations)
"""

import pathlib

from absl import flags

from rlvm.launch.flags import define_folders, run


def main() -> None:
    """Report."""
    if PLOT.value and WORKDIRS.value:
        draw_models()
    elif PLOT.value:
        draw()
    elif SWEEP.value:
        report_sweep()
    elif RESULTS.value:
        report_results()
    else:
        raise ValueError("Pass --results, --sweep or --plot.")


def draw() -> None:
    """One of the figures of "Mind the Gap" from arrays of several models."""
    from rlvm.jobs import forecast_figures

    if not FIGURE.value or not all("=" in pair for pair in ARRAYS.value):
        raise ValueError("--plot needs --figure=F.png and --arrays=NAME=FILE,NAME=FILE.")
    pairs = [pair.split("=", 1) for pair in ARRAYS.value]
    arrays = {name: forecast_figures.load(file) for name, file in pairs}
    plots = {
        "final_positions": forecast_figures.draw_final_positions,
        "digits": forecast_figures.draw_digits,
        "futures": forecast_figures.draw_futures,
    }
    if PLOT.value not in plots:
        raise ValueError(f"--plot={PLOT.value} needs --workdirs=W1,W2.")
    plots[PLOT.value](arrays, FIGURE.value)


def draw_models() -> None:
    """A figure of "Deep AutoRegressive Networks", or of a ladder, from workdirs."""
    from rlvm.jobs import darn_figures, ladder_figures

    families = {plot: family for family in (darn_figures, ladder_figures) for plot in family.PLOTS}
    if not FIGURE.value or PLOT.value not in families:
        known = ", ".join(families)
        raise ValueError(f"--workdirs needs --figure=F.png and --plot of: {known}.")
    draw = families[PLOT.value].draw
    draw(PLOT.value, WORKDIRS.value, FIGURE.value, DATA_DIR.value, MANUAL_DIR.value)


def report_results() -> None:
    """The table of a results file or folder, and of the differences to a baseline."""
    from rlvm.jobs import baseline, report

    path = RESULTS.value
    results = report.read_results(path)
    text = report.text(results, path)
    if BASELINE.value:
        text += "\n\n" + baseline.table(results, path, BASELINE.value)
        results = baseline.beside(results, path, BASELINE.value)
    if CSV.value:
        report.write_csv(results, CSV.value)
    if README.value:
        readme = pathlib.Path(README.value)
        family = pathlib.Path(path).parent.name
        readme.write_text(report.update(readme.read_text(), family, text))
    print(text)


def report_sweep() -> None:
    """The table of a sweep, and its picture."""
    from rlvm.jobs import figures, sweep, sweep_report

    study = sweep.resume(SWEEP.value)
    if FIGURE.value:
        figures.draw_sweep(sweep_report.points(study), FIGURE.value)
    print(sweep_report.table(study))


if __name__ == "__main__":
    RESULTS = flags.DEFINE_string("results", "", "A results.jsonl, or a folder of evaluations.")
    BASELINE = flags.DEFINE_string("baseline", "", "What the names of a folder's files begin with.")
    CSV = flags.DEFINE_string("csv", "", "Also write the evaluations' numbers here.")
    README = flags.DEFINE_string("readme", "", "A file with two marks <!-- results:FAMILY -->.")
    SWEEP = flags.DEFINE_string("sweep", "", "The --workdir of a sweep.")
    PLOT = flags.DEFINE_string("plot", "", "A figure of Mind the Gap or of the DARN paper.")
    WORKDIRS = flags.DEFINE_list("workdirs", [], "The workdirs of a figure of the DARN paper.")
    DATA_DIR, MANUAL_DIR = define_folders()
    ARRAYS = flags.DEFINE_list("arrays", [], "NAME=FILE.npz of each model in the plot.")
    FIGURE = flags.DEFINE_string("figure", "", "Draw the sweep or plot to this .png.")
    run(main)
