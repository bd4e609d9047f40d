"""A model as a repository of the hub: stock files, a card, figures, provenance, hashes."""
