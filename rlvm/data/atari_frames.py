"""Frames of five Atari 2600 games under random play, as edges: `x` binary [N, 209, 159].

The sets of Gregor et al. (2014, sec. 5.3), played anew: an action drawn uniformly from the game's
own at every frame, each frame recorded with probability 1%. An edge stands where Roberts' cross of
the palette numbers is not zero, which makes 209 x 159 of 210 x 160 pixels. Of `num_examples`
frames (the paper's 100,000 without a wish: 3.3 GB, some twenty minutes of play) a tenth each is
`valid` and `test`; every split is played from a start and a seed of its own.

Played by `ale-py`, which brings the games (extra 'atari'). Its licence is GPL-2.0, unlike ours: it
is imported only where frames are made.
"""

from typing import Any

import numpy as np

from rlvm.data import source

GAMES = ("freeway", "pong", "space_invaders", "riverraid", "seaquest")
NUM_EXAMPLES = 100_000
RECORDED = 0.01
CHUNK = 4096  # frames whose draws are made at once
SPLIT_SEEDS = {"train": 0, "valid": 1, "test": 2}


def read(variant: str, files: source.Files) -> source.Splits:
    """The three splits of a game."""
    count = files.num_examples or NUM_EXAMPLES
    held_out = count // 10
    if not held_out:
        raise ValueError(f"{files.name}: {count} frames have no tenth; expected at least 10")
    sizes = {"train": count - 2 * held_out, "valid": held_out, "test": held_out}
    return {
        name: {"x": play(emulator(variant), size, 3 * files.seed + SPLIT_SEEDS[name])}
        for name, size in sizes.items()
    }


def emulator(game: str) -> Any:
    """The game in ale-py, without its random repeats of actions."""
    try:
        from ale_py import ALEInterface, LoggerMode, roms
    except ImportError as error:
        raise ValueError(
            f"atari_frames/{game} is played by ale-py, which is not installed: "
            "pip install 'rlvm[atari]' (ale-py's licence is GPL-2.0)"
        ) from error
    ALEInterface.setLoggerMode(LoggerMode.Error)
    console: Any = ALEInterface()
    console.setInt("random_seed", 0)
    console.setFloat("repeat_action_probability", 0.0)
    console.loadROM(roms.get_rom_path(game))
    return console


def play(console: Any, count: int, seed: int) -> np.ndarray:
    """The edges of `count` recorded frames: [count, 209, 159]."""
    bits, actions = np.random.PCG64(seed), console.getMinimalActionSet()
    height, width = console.getScreenDims()
    frames = np.empty((count, height - 1, width - 1), np.uint8)
    recorded = 0
    while recorded < count:
        for choice, keep in source.uniforms(bits, (CHUNK, 2)):
            console.act(actions[int(choice * len(actions))])
            if keep < RECORDED and recorded < count:
                frames[recorded] = edges(console.getScreen())
                recorded += 1
            if console.game_over():
                console.reset_game()
    return frames


def edges(screen: np.ndarray) -> np.ndarray:
    """1 where a pixel differs from its neighbour on either diagonal: [H, W] -> [H - 1, W - 1]."""
    falling = screen[:-1, :-1] != screen[1:, 1:]
    rising = screen[:-1, 1:] != screen[1:, :-1]
    return (falling | rising).astype(np.uint8)


SOURCE = source.Source(
    version="1.0.0",
    description="Edges of Atari 2600 frames under random play (Gregor et al. 2014), played anew.",
    variants={game: source.Variant("binary", seeded=True, sized=True) for game in GAMES},
    read=read,
)
