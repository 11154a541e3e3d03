"""Conditioning as a choice: which observations and latents an inference network sees.

The true posterior factorises into p(z_t | z_{t-1}, x_{t:T}); whatever q(z_t | .) leaves out of that
costs a conditioning gap ("Mind the Gap", Table 1 and appendix B).
"""

import dataclasses

FIRST = ("x_1:k", "x_1:T")
REST = ("x_t", "x_1:t", "x_t:T", "x_1:T")
LATENTS = ("none", "z_t-1", "z_1:t-1")
DIRECTIONS = {"x_t": "none", "x_1:t": "forward", "x_t:T": "backward", "x_1:T": "both"}


@dataclasses.dataclass(frozen=True)
class Conditioning:
    """What q(z_1 | .) and q(z_t | .), t > 1, see; controls go with the observations of their step.

    first: the observations of the first state, its first `prefix_length` or all.
    rest: the observations of every later state.
    latents: the earlier states that q(z_t | .) sees.
    """

    first: str
    rest: str
    latents: str = "z_t-1"
    prefix_length: int = 1

    def __post_init__(self):
        for name, value, known in [
            ("first", self.first, FIRST),
            ("rest", self.rest, REST),
            ("latents", self.latents, LATENTS),
        ]:
            if value not in known:
                raise ValueError(
                    f"No conditioning {name}='{value}'. There are: {', '.join(known)}."
                )
        if self.prefix_length < 1:
            raise ValueError(f"prefix_length is {self.prefix_length}; expected at least 1.")
        if self.first == "x_1:T" and self.rest not in ("x_t:T", "x_1:T"):
            raise ValueError(
                f"first='x_1:T' reads the features of a network that runs backward, but "
                f"rest='{self.rest}' has none; expected rest='x_t:T' or 'x_1:T'."
            )

    @property
    def direction(self) -> str:
        """How the feature network runs over time: none, forward, backward or both."""
        return DIRECTIONS[self.rest]


PRESETS = {
    "partial": Conditioning("x_1:k", "x_1:t"),
    "semi": Conditioning("x_1:k", "x_1:t", prefix_length=7),
    "full": Conditioning("x_1:T", "x_1:T"),
    "STORN": Conditioning("x_1:T", "x_1:T", "none"),
    "VRNN": Conditioning("x_1:k", "x_1:t", "z_1:t-1"),
    "DKF": Conditioning("x_1:T", "x_1:T", "none"),
    "DKS": Conditioning("x_1:T", "x_t:T"),
    "DVBF": Conditioning("x_1:k", "x_t"),
    "PlaNet": Conditioning("x_1:k", "x_t"),
    "SLAC": Conditioning("x_1:k", "x_t"),
}


def preset(name: str, prefix_length: int | None = None) -> Conditioning:
    """The named row of Table 1, or partial, semi, full; `prefix_length` overrules its k."""
    if name not in PRESETS:
        raise ValueError(f"No conditioning '{name}'. Presets: {', '.join(PRESETS)}.")
    if prefix_length is None:
        return PRESETS[name]
    return dataclasses.replace(PRESETS[name], prefix_length=prefix_length)
