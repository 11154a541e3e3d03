"""Checkpoints of a run: the newest N and the best, written by Orbax in the background."""

import logging

import jax
import orbax.checkpoint as ocp
from etils import epath

from rlvm.training.state import TrainState
from rlvm.types import PyTree

LOG = logging.getLogger(__name__)


class Checkpoints:
    """`<workdir>/checkpoints/{latest,best}`: keep-N of every save, and one of the best value."""

    def __init__(self, workdir: epath.PathLike, keep: int = 2, writes: bool = True):
        """Without `writes` one process reads by itself, and touches nothing of a run under way."""
        root = epath.Path(workdir).absolute() / "checkpoints"
        self._latest = _manager(root / "latest", keep, writes)
        self._best = _manager(root / "best", 1, writes)
        self._unreadable = set[tuple[ocp.CheckpointManager, int]]()

    def save(self, state: TrainState, best: bool = False) -> None:
        """Save the plain (unstacked) state under its step; `best` replaces the best one.

        Of many processes each calls this, and writes the shards that it holds.
        """
        manager, step = (self._best if best else self._latest), int(state.step)
        if (manager, step) in self._unreadable:
            manager.delete(step)
            self._unreadable.remove((manager, step))
        if step not in manager.all_steps():
            manager.save(step, args=ocp.args.StandardSave(state))

    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint of either kind, or None."""
        steps = [*self._latest.all_steps(), *self._best.all_steps()]
        return max(steps, default=None)

    def steps(self) -> dict[str, list[int]]:
        """The steps there are, under 'best' and 'latest'."""
        return {"best": self._best.all_steps(), "latest": self._latest.all_steps()}

    def step_of(self, which: str) -> int:
        """The step of what `restore` would read."""
        return self._find(which)[0][1]

    def restore(self, which: str, abstract: PyTree, shardings) -> tuple[TrainState, str]:
        """The state of 'best', 'latest' or a step number; and which one it came from.

        `shardings` say where its arrays shall live: one for all, or a tree of them.

        'best' falls back to the newest where no best was kept; a best that is newer than the last
        regular save is the newest. One that cannot be read falls back to the one before.
        """
        target = jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            abstract,
            jax.tree.broadcast(shardings, abstract),
        )
        failures = []
        for manager, step, source in self._find(which):
            name = f"{source}:{step}"
            try:
                return manager.restore(step, args=ocp.args.StandardRestore(target)), name
            except Exception as error:  # whatever a broken file makes of its reader
                reason = next(iter(str(error).splitlines()), "")
                failures.append(f"{name}: {type(error).__name__}: {reason}")
                self._unreadable.add((manager, step))
                LOG.warning("Checkpoint %s cannot be read; trying the one before.", name)
        raise ValueError(f"No checkpoint can be read. {failures[0]}")

    def _find(self, which: str) -> list[tuple[ocp.CheckpointManager, int, str]]:
        """The checkpoint asked for and those to fall back to, in the order to try them."""
        found = [
            (manager, step, source)
            for source, manager in (("latest", self._latest), ("best", self._best))
            for step in manager.all_steps()
        ]
        found.sort(key=lambda one: -one[1])
        if which == "best":
            found.sort(key=lambda one: one[2] != "best")
        elif which != "latest":
            found = [one for one in found if str(one[1]) == which]
        if not found:
            raise ValueError(f"No checkpoint '{which}'. Checkpoints: {self.steps()}.")
        return found

    def wait(self) -> None:
        """Block until every save has been committed."""
        self._latest.wait_until_finished()
        self._best.wait_until_finished()

    def close(self) -> None:
        """Finish the saves in flight and release the managers."""
        self.wait()
        self._latest.close()
        self._best.close()


def _manager(directory: epath.Path, keep: int, writes: bool) -> ocp.CheckpointManager:
    here = jax.process_index()
    alone = {} if writes else {"primary_host": here, "active_processes": {here}}
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        create=writes,
        enable_async_checkpointing=True,
        cleanup_tmp_directories=writes,
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            barrier_sync_key_prefix=directory.name,  # two managers may save the same step at once
            **alone,
        ),
    )
    return ocp.CheckpointManager(directory, options=options)
