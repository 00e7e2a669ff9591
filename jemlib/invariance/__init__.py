"""What a unit is invariant to: firing rates and RIS (`firing`); images that differ in one factor (`trajectories`)."""

from jemlib.invariance.firing import (
    RIS,
    fire,
    firing_threshold,
    global_firing_rate,
    local_firing_rate,
    ris,
    target_conditioned_invariance,
)
from jemlib.invariance.trajectories import Trajectories, image_trajectories, measure_invariance, motif_trajectories
