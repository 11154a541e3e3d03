"""Atari frames: the edge detector by hand, and real games from a seed."""

import numpy as np
import pytest

from rlvm.data import atari_frames, dataset

RNG = np.random.default_rng(0)


def test_edges_are_roberts_cross():
    screen = RNG.integers(0, 3, (7, 6)).astype(np.uint8)
    found = atari_frames.edges(screen)
    assert found.shape == (6, 5)
    for i in range(6):
        for j in range(5):
            falling = int(screen[i, j]) - int(screen[i + 1, j + 1])
            rising = int(screen[i, j + 1]) - int(screen[i + 1, j])
            assert found[i, j] == (falling != 0 or rising != 0)


def test_a_flat_screen_has_no_edges():
    assert not atari_frames.edges(np.full((9, 9), 200, np.uint8)).any()


class Console:
    """A screen that shows the number of the frame; it remembers the actions."""

    def __init__(self, frames_a_game=1000):
        self.actions, self.resets, self.left = [], 0, frames_a_game
        self.frames_a_game = frames_a_game

    def getMinimalActionSet(self):
        return ["left", "right", "fire"]

    def getScreenDims(self):
        return 3, 4

    def getScreen(self):
        screen = np.zeros((3, 4), np.uint8)
        screen.flat[len(self.actions) % 12] = 1
        return screen

    def act(self, action):
        self.actions.append(action)
        self.left -= 1

    def game_over(self):
        return self.left == 0

    def reset_game(self):
        self.resets, self.left = self.resets + 1, self.frames_a_game


def test_one_frame_in_a_hundred_is_recorded_under_uniform_actions():
    console = Console()
    frames = atari_frames.play(console, 300, seed=1)
    assert frames.shape == (300, 2, 3)
    played = len(console.actions)
    assert abs(300 / played - 0.01) < 4 * np.sqrt(0.01 / played)  # four standard deviations
    shares = [console.actions.count(a) / played for a in console.getMinimalActionSet()]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)
    assert console.resets == played // 1000
    np.testing.assert_array_equal(frames, atari_frames.play(Console(), 300, seed=1))
    assert (frames != atari_frames.play(Console(), 300, seed=2)).any()


@pytest.mark.parametrize("game", atari_frames.GAMES)
def test_the_games_are_there(game):
    pytest.importorskip("ale_py")
    frames = atari_frames.play(atari_frames.emulator(game), 2, seed=0)
    assert frames.shape == (2, 209, 159)
    assert 0.005 < frames.mean() < 0.5


def test_opens_by_name_with_its_number_of_frames(tmp_path):
    pytest.importorskip("ale_py")
    data = dataset.load("atari_frames/pong", data_dir=tmp_path, num_examples=10)
    assert data.name == "atari_frames/pong_10" and data.kind == "binary"
    assert [len(data.splits[s]["x"]) for s in ("train", "valid", "test")] == [8, 1, 1]
    again = atari_frames.play(atari_frames.emulator("pong"), 8, seed=0)
    np.testing.assert_array_equal(data.splits["train"]["x"], again)
    assert (data.splits["valid"]["x"][0] != data.splits["test"]["x"][0]).any()


def test_too_few_frames_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="9 frames have no tenth"):
        dataset.load("atari_frames/pong", data_dir=tmp_path, num_examples=9)


def test_a_set_of_one_size_takes_no_number(tmp_path):
    with pytest.raises(ValueError, match="num_examples is 5, but binarized_mnist has a size"):
        dataset.load("binarized_mnist", data_dir=tmp_path, num_examples=5)


def test_without_the_emulator_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ale_py", None)
    with pytest.raises(ValueError, match=r"pip install 'rlvm\[atari\]'.*GPL-2\.0"):
        atari_frames.emulator("pong")
