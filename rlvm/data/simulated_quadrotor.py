"""Windows of 25 steps of simulated quadrotor flights, u in R^14, without any file.

An AscTec Hummingbird of `rotorpy` (the extra `simulation`) follows sums of sinusoids in three
dimensions, drawn from the seed. As in `blackbird`, positions start at the origin in every window;
controls are means over the 0.1 s that follow of acceleration and angular rate (with the noise of a
cheap sensor), rotor speeds and commanded rotor speeds. Flights of 20 s are split 60/20/20; `y` is
the flight. `num_examples` is the number of windows in all, eight a flight.
"""

import numpy as np

from rlvm.data import source, windows

NUM_TIMESTEPS, WINDOWS_PER_FLIGHT = 25, 8
NUM_FLIGHTS = 60
RATE, STEPS = 100, 10  # simulated steps in a second, and in a step of the data
GRAVITY = np.array([0.0, 0.0, -9.81])  # m/s^2
SENSOR_NOISE = np.array([0.05] * 3 + [0.01] * 3)  # m/s^2 and rad/s, of a mean over 0.1 s
AMPLITUDES = np.array([2.0, 2.0, 0.5])  # metres, at most, of a sinusoid
FREQUENCIES = (0.05, 0.25)  # Hz
HARMONICS = 3


class Wander:
    """A flat output: position sum_k a_k sin(w_k t + p_k) in each dimension, yaw 0."""

    def __init__(self, bits: np.random.PCG64):
        amplitude, frequency, phase = source.uniforms(bits, (3, HARMONICS, 3))
        low, high = FREQUENCIES
        self.amplitude = AMPLITUDES * amplitude
        self.rate = 2 * np.pi * (low + (high - low) * frequency)
        self.phase = 2 * np.pi * phase

    def update(self, t: float) -> dict:
        """Position, its four derivatives in time, and yaw, at time t."""
        names = ("x", "x_dot", "x_ddot", "x_dddot", "x_ddddot")
        angle = self.rate * t + self.phase
        flat = {
            name: np.sum(self.amplitude * self.rate**n * np.sin(angle + n * np.pi / 2), axis=0)
            for n, name in enumerate(names)
        }
        return {**flat, "yaw": 0.0, "yaw_dot": 0.0, "yaw_ddot": 0.0}


def read(variant: str, files: source.Files) -> source.Splits:
    """Fly, cut into windows, split by flight."""
    del variant
    count = -(-files.num_examples // WINDOWS_PER_FLIGHT) or NUM_FLIGHTS
    if count < len(windows.FRACTIONS) + 2:
        raise ValueError(f"{files.name}: num_examples is {files.num_examples}, expected over 32")
    bits = np.random.PCG64(files.seed)
    flights = [fly(Wander(bits), bits) for _ in range(count)]
    groups = windows.split_groups(count, files.seed)
    return windows.standardised({name: cut(flights, group) for name, group in groups.items()}, "u")


def fly(path: Wander, bits: np.random.PCG64) -> tuple[np.ndarray, np.ndarray]:
    """Positions [T, 3] and controls [T, 14] of one flight at 10 Hz."""
    vehicle, controller, state = hummingbird(path)
    length = NUM_TIMESTEPS * WINDOWS_PER_FLIGHT
    positions, readings = [], []
    for n in range(length * STEPS):
        control = controller.update(n / RATE, state, path.update(n / RATE))
        positions.append(state["x"])
        readings.append(reading(vehicle, state, control))
        state = vehicle.step(state, control, 1 / RATE)
    u = np.mean(np.reshape(readings, (length, STEPS, -1)), axis=1)
    noise = source.uniforms(bits, (length, 12, len(SENSOR_NOISE))).sum(axis=1) - 6.0  # near N(0, 1)
    u[:, : len(SENSOR_NOISE)] += SENSOR_NOISE * noise
    return np.array(positions)[::STEPS], u


def hummingbird(path: Wander):
    """(vehicle, controller, state at the start of the path)."""
    try:
        from rotorpy.controllers.quadrotor_control import SE3Control
        from rotorpy.vehicles.hummingbird_params import quad_params
        from rotorpy.vehicles.multirotor import Multirotor
    except ImportError as error:
        raise ValueError(
            "simulated_quadrotor needs rotorpy: pip install rlvm[simulation]"
        ) from error
    start = path.update(0.0)
    vehicle = Multirotor(quad_params)
    state = {**vehicle.initial_state, "x": start["x"], "v": start["x_dot"]}
    return vehicle, SE3Control(quad_params), state


def reading(vehicle, state: dict, control: dict) -> np.ndarray:
    """Specific force and angular rate in the body's frame, rotor speeds, their commands: [14]."""
    from scipy.spatial.transform import Rotation

    force = vehicle.statedot(state, control, 1 / RATE)["vdot"] - GRAVITY
    body = Rotation.from_quat(state["q"]).inv().apply(force)
    return np.concatenate([body, state["w"], state["rotor_speeds"], control["cmd_motor_speeds"]])


def cut(flights: list, group: np.ndarray) -> dict[str, np.ndarray]:
    """The windows of a group of flights."""
    x = [windows.windows(flights[flight][0], NUM_TIMESTEPS) for flight in group]
    u = [windows.windows(flights[flight][1], NUM_TIMESTEPS) for flight in group]
    positions = windows.from_origin(np.concatenate(x))
    return {
        "x": positions.astype(np.float32),
        "u": np.concatenate(u),
        "lengths": np.full(len(positions), NUM_TIMESTEPS, np.int32),
        "y": np.repeat(group, WINDOWS_PER_FLIGHT).astype(np.int32),
    }


SOURCE = source.Source(
    version="1.0.0",
    description="Windows of simulated quadrotor flights (rotorpy): positions and 14 controls.",
    variants={"": source.Variant("real", seeded=True, sized=True)},
    read=read,
)
