"""DVC stages: each reads the configuration, calls the library, writes its outputs."""
