"""The one training loop, what it minimises, and what surrounds a step.

The code of a step is in eight files, listed in ``loop``. Around it: ``setup`` places network and optimizers, of which
``muon`` is one, ``sharding`` divides them · ``loader`` prepares batches in advance · ``preflight`` refuses a run that
cannot end well · ``checkpoint`` saves and restores · ``meter`` sums losses, ``nonfinite`` says what went wrong,
``heldout`` measures, ``watching`` shows · ``inventory`` lists unfinished trainings · ``planned_memory`` and
``shared_memory`` count memory, ``speed`` and ``spending`` time and calls · ``dropout`` and ``interruption`` are what
their names say.
"""
