"""The demo: a DARN and its latent-free twin on every legal 8-ply Connect-4 position."""

import dataclasses
import json
import pathlib
from typing import Any

from etils import epath

from rlvm.jobs import config as configs
from rlvm.jobs import figures, report, sample
from rlvm.jobs.evaluate import Request, evaluate
from rlvm.jobs.train import train
from rlvm.training import metrics

PAPER = "11.91 (Gregor et al. 2014, another random split of the same rows)"


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of it: training steps of either model, test examples, importance samples."""

    darn_steps: int = 25_000
    fvsbn_steps: int = 8_000
    examples: int = 5_000
    num_samples: int = 200


def demo(
    folder: str, size: Size, data_dir: epath.PathLike | None = None
) -> tuple[str, dict[str, Any]]:
    """Train both, draw `samples.png` and `curves.png`; returns the table and the evaluation."""
    root = pathlib.Path(folder)
    workdirs = {"DARN": root / "darn", "FVSBN": root / "fvsbn"}
    steps = {"DARN": size.darn_steps, "FVSBN": size.fvsbn_steps}
    names = {"DARN": "darn/connect4:demo", "FVSBN": "darn/fvsbn:connect4/own_split"}
    request = Request(
        estimator="importance",
        limit=size.examples,
        num_samples=size.num_samples,
    )
    results = {}
    for name, workdir in workdirs.items():
        config = configs.load(names[name], **{"train.num_steps": steps[name]})
        train(config, workdir, data_dir)
        results[name], _ = evaluate(workdir, request, data_dir)
    (root / "evaluation.json").write_text(json.dumps(results["DARN"]) + "\n")
    arrays = sample.sample(workdirs["DARN"], data_dir=data_dir)
    sample.save(arrays, str(root / "samples.npz"), str(root / "samples.png"), workdirs["DARN"])
    lines = {name: metrics.read(workdir) for name, workdir in workdirs.items()}
    figures.draw_curves(lines, str(root / "curves.png"))
    return table(results["DARN"], results["FVSBN"]), results["DARN"]


def table(darn: dict[str, Any], fvsbn: dict[str, Any]) -> str:
    """The two models side by side, and what the paper reached."""
    low, high = darn["nll_nats_mc95"]
    rows = [
        ("DARN distortion", report.nats(darn["distortion_nats"])),
        ("DARN rate", report.nats(darn["rate_nats"])),
        ("DARN bound (distortion + rate)", report.nats(darn["bound_nats"])),
        (f"DARN NLL, S = {darn['num_samples']}", f"{darn['nll_nats']:.3f} [{low:.3f}, {high:.3f}]"),
        ("FVSBN NLL (no latents)", f"{fvsbn['nll_nats']:.3f}"),
        ("DARN NLL in the paper", PAPER),
    ]
    header = (f"{darn['dataset']}, first {darn['num_examples']} of {darn['split']}", "nats")
    return report.markdown(header, rows)
