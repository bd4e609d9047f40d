"""Networks on disk and on the device.

``kinds`` the kinds of networks there are, an adapter each · ``networks`` opens and builds them, with ``unet`` and
``velocity_mlp`` · ``accepted_teacher`` which models are taken, ``opening`` takes them · ``diffusers_layout`` where a
saved pipeline keeps what, ``companions`` its other parts · ``check`` and ``pretrained`` for pretrained teachers ·
``student`` the saved form of a velocity field · ``runtime`` device, precision, processes · ``sampler`` a saved model as
a map from noise to sample, and back by ``inversion`` · ``sampling`` images and trajectories from it.
"""
