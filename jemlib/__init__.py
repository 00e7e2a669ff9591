"""jemlib: joint-embedding self-supervised learning, small enough to read and tested enough to trust.

Modules, from the bottom up (each imports only from those before it):

    validate      argument checks and their error messages
    files         writing files that a kill cannot halve
    losses        the objectives, pure functions of tensors
    data          images in memory: generated motifs, CIFAR-10, a folder
    recipes       which augmentations a view has, and the drawing of their parameters
    views         augmentations, per sample and batched
    features      features of un-augmented images, in evaluation mode
    nets          backbones and heads
    masking       masked patches: pixels, tokens, and the re-masking convolution
    momentum      the momentum encoder
    dynamics      the linear theories of Tian et al. and of Jing et al., as curves
    collapse      collapse made precise: trivial starts, gradients, curvature
    methods       the modules a method owns and its one training step
    optim         optimisers and the learning-rate schedule
    scales        how large a run is: smoke, cpu, gpu
    checkpoint    the checkpoint of a run folder
    train         the visible loop
    evaluate      kNN and linear probe, with their protocol
    probes        which factor is decodable where, few labels, clusters, neighbours, maps
    diagnose      collapse diagnostics
    invariance    what a unit is invariant to: firing rates and RIS
    trajectories  the same object under several values of one factor
    experiment    one run from names to numbers, and a table of many
    removals      collapse on purpose, and the diagnostic that sees it
    bench         speed of a training step
    bench_losses  speed of the objectives
    environment   `jem check-env`
    plots         pictures
    widgets       sliders over the pictures
    course        exercises, checks, claims, the notebook builder
    cli           the `jem` command
"""

__version__ = "0.1.0"
