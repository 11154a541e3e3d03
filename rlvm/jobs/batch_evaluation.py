"""Many evaluations as one job: shared between processes or an array's tasks, and resumable.

An evaluation's JSON object goes to a file of its own as soon as it is there, after the NLL of each
example, in an .npz of the same name; what has a file is not computed again, and one that fails
leaves the others alone.
"""

import dataclasses
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from rlvm.jobs import workdir
from rlvm.jobs.evaluate import Request, evaluate
from rlvm.training.checkpoint import Checkpoints

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job:
    """One evaluation: a workdir, and what is asked of its checkpoint at `step`."""

    path: epath.Path
    request: Request
    step: int

    @property
    def filename(self) -> str:
        """The workdir's name, the step, and a hash of what is asked."""
        asked = json.dumps([str(self.path), dataclasses.asdict(self.request)], sort_keys=True)
        digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
        return f"{self.path.name}-{self.step}-{digest}.json"


@dataclasses.dataclass(frozen=True)
class Share:
    """Which jobs are done here: those at index, index + count, ... of all."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """'2/8' is the third of eight; '' is this process's share of all processes."""
        if not text:
            return cls(jax.process_index(), jax.process_count())
        index, _, count = text.partition("/")
        if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
            raise ValueError(f"--share is '{text}'; expected INDEX/COUNT, from 0/8 to 7/8.")
        return cls(int(index), int(count))


def expand(patterns: Sequence[str]) -> list[epath.Path]:
    """The workdirs that paths and patterns with * name, in order; each must hold a run."""
    found: list[epath.Path] = []
    for pattern in patterns:
        path = epath.Path(pattern)
        if "*" not in pattern:
            found.append(path)
            continue
        start = pattern[: pattern.index("*")].rpartition("/")[0]
        root = epath.Path(start or ".")
        matches = sorted(root.glob(pattern[len(start) :].lstrip("/")))
        matches = [match for match in matches if (match / "config.json").exists()]
        if not matches:
            raise ValueError(f"--workdir={pattern} matches no workdir.")
        found += matches
    if not found:
        raise ValueError("--workdir names no workdir.")
    return found


def plan(paths: Sequence[epath.Path], checkpoints: Sequence[str], request: Request) -> list[Job]:
    """Every workdir at every checkpoint."""
    jobs = []
    for path in paths:
        workdir.read_config(path)  # refuses what is no workdir before anything is computed
        kept = Checkpoints(path, writes=False)
        for name in checkpoints:
            step = kept.step_of(name)
            jobs.append(Job(path, dataclasses.replace(request, checkpoint=name), step))
        kept.close()
    return jobs


def run(
    jobs: Sequence[Job], output: epath.PathLike, share: Share, data_dir=None, manual_dir=None
) -> Iterator[dict[str, Any]]:
    """Yield this share's evaluations, stored or new; fails at the end if any has failed."""
    folder, failed = epath.Path(output), []
    folder.mkdir(parents=True, exist_ok=True)
    for job in jobs[share.index :: share.count]:
        file = folder / job.filename
        if not file.exists():
            try:
                result, per_example = evaluate(job.path, job.request, data_dir, manual_dir)
            except Exception as error:  # whatever it was, the others may do better
                LOG.error("%s: %s: %s", job.path, type(error).__name__, error)
                failed.append(str(job.path))
                continue
            file.with_suffix(".npz").write_bytes(compressed(per_example))
            workdir.write_whole(file, json.dumps(result) + "\n")
        yield json.loads(file.read_text())
    if failed:
        raise ValueError(f"{len(failed)} evaluations failed: {', '.join(failed)}.")


def compressed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as the content of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
