"""jemlib: joint-embedding self-supervised learning, small enough to read and tested enough to trust.

Rooms, from the bottom up (each imports only from those before it):

    validate      argument checks and their error messages
    files         writing files that a kill cannot halve
    scales        how large a run is: smoke, cpu, gpu
    losses        the objectives, one file each; pure functions of tensors
    data          images in memory: generated motifs, CIFAR-10, a folder
    views         recipes (what is drawn), making (the views of a batch), masks (of patches)
    nets          backbones, transformer, heads, predictors, momentum copies, remasking, features
    methods       one file a method: the modules it owns and its one training step; a loss of one's own in its frame
    train         loop and step, order of the images, history, checkpoint, optimizers, device
    evaluate      scores (kNN, linear probe) with their protocol; factors, clusters, maps
    diagnose      collapse diagnostics
    invariance    firing (units and RIS); trajectories (images that differ in one factor)
    theory        collapse made precise; the linear dynamics of learning
    experiments   runs (names to numbers), comparison, own (one's own loss), baselines, removals, benchmarks, gpu
    environment   `jem check-env`
    plots         style, pictures, widgets
    course        machinery (exercises, checks, claims), build (notebooks, README), lessons (a house for each)
    cli           the `jem` command

Where is ...? A formula: `losses`. What happens in a step: `methods/NAME.py`, called by `train/step.py`. A figure in a
table: `experiments`. The message that a learner reads: `course/lessons/lessonNN_name/exercises.py`.

Bad input, everywhere: TypeError for an argument of the wrong type, ValueError for the wrong shape or range and for NaN.
The message names the argument, what was given and what is expected (`validate`). A docstring lists what else is raised.
"""

__version__ = "0.1.0"
