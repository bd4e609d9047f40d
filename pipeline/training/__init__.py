"""The one training loop, what it minimises, and what surrounds a step."""
