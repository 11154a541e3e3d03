"""Where a run writes its logs: its workdir, or a local folder that is copied to an object store.

Appending to an object rewrites it, so logs of a gs:// workdir go up whole, at every checkpoint.
"""

import shutil
import tempfile

from etils import epath

from rlvm.data import remote


class Spool:
    """The folder that a run logs into; of many processes one `writes`."""

    def __init__(self, workdir: epath.Path, writes: bool = True):
        self._workdir = workdir
        self._local: epath.Path | None = None
        if writes and remote.is_remote(workdir):
            self._local = epath.Path(tempfile.mkdtemp(prefix="rlvm-"))
            log = workdir / "metrics.jsonl"
            if log.exists():
                (self._local / log.name).write_bytes(log.read_bytes())

    @property
    def folder(self) -> epath.Path:
        """Where to write."""
        return self._local or self._workdir

    def publish(self) -> None:
        """Copy what was written to where it belongs."""
        if self._local:
            remote.copy(self._local, self._workdir)

    def close(self) -> None:
        """Publish, and leave nothing behind on this machine."""
        self.publish()
        if self._local:
            shutil.rmtree(self._local)
