"""What a training step minimises: one method a file, all of one signature.

``objective``: the signature · ``denoising`` trains a diffusion teacher, ``flow_matching`` a flow of the data,
``label_dropout`` either of classes · students of couplings: ``reflow``, ``fixed_steps``, ``any_step``, ``cmt``; of two
times: ``mean_flow``, ``shortcut`` · of their initial model's ODE: ``progressive``, ``consistency`` · ``shares`` of a
batch by row · ``build``: the method that a configuration names.
"""
