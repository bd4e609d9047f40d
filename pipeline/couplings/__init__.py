"""The store of couplings: seed-addressed noise, samples in hashed shards, one manifest.

A pair is (index, sample). The noise of a pair made from noise is never stored: pair i's x_0 is
:func:`pipeline.flow.noise.sample_noise` of the store's seed and i. A shard of pairs made from images carries the noise
they were inverted to. A shard is one safetensors file; the manifest names every shard with its hash, and carries a
noise check value, so that a changed generator is caught before training.

``generation`` makes a store from the ``pairs`` that a model solves · ``unfinished`` shards made so far, divided over
processes · ``inventory`` which unfinished stores there are · ``manifest`` what a store says about itself · ``shard``
one file of pairs · ``pair_filter`` leaving out the farthest pairs · ``store`` reading · ``gate`` whether it may be
trained on · ``noise_normality`` moments of noise beside N(0, I).
"""
