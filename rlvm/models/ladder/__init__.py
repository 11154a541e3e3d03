"""The Recurrent Ladder: an encoder and a decoder iterated over frames or over one input."""

from rlvm.models.ladder.network import RLadder, build

__all__ = ["RLadder", "build"]
