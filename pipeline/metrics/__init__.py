"""Measurements of generated images and of the fields that make them."""
