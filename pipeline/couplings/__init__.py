"""The store of couplings: seed-addressed noise, samples in hashed shards, one manifest.

A pair is (index, sample). The noise of a pair made from noise is never stored: pair i's x_0 is
:func:`pipeline.flow.noise.sample_noise` of the store's seed and i. A shard of pairs made from images carries the noise
they were inverted to. A shard is one safetensors file; the manifest names every shard with its hash, and carries a
noise check value, so that a changed generator is caught before training.

``manifest`` what a store says about itself · ``shard`` one file of pairs · ``store`` reading · ``with_states`` reading
the states between noise and image as well · ``pairs`` where they come from · ``coupling_run`` a store in the making ·
``generation`` making all of it · ``shard_making`` one shard · ``publication`` putting it into place · ``unfinished``
its finished shards · ``inventory`` which of them there are · ``pair_filter`` leaving out the farthest pairs ·
``pair_measures`` their costs · ``states_measured`` those of states · ``network_calls`` what solving takes · ``recount``
measuring again what the manifest says of them · ``reintegration`` solving some again · ``gate`` whether a store may be
trained on · ``check_record`` what the gate measured · ``acceptance`` where that is written and required.
"""
