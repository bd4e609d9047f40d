"""The typed configuration: frozen, validated as a whole, unknown keys refused.

A stage reads ``params.yaml`` once through :func:`pipeline.config.loading.load_config` and hands sections of the result
to the library. Nothing else reads configuration. A module imports the sections it uses from their own files, so that
a stage depends on these sections and no others.
"""
