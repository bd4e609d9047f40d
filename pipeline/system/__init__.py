"""What any program needs and none of ours: errors, atomic files, locks, progress, fingerprints, the hub."""
