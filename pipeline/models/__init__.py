"""Networks on disk and on the device.

``networks`` the kinds there are, with ``unet`` and ``velocity_mlp`` · ``diffusers_layout`` where a saved pipeline keeps
what · ``check``, ``levels`` and ``pretrained`` for pretrained teachers · ``student`` the saved form of a velocity field
· ``runtime`` device, precision, processes · ``sampler`` a saved model as a map from noise to sample, and back by
``inversion`` · ``sampling`` images and trajectories from it.
"""
