"""Real images and points: checked, prepared, read and ordered."""
