"""Networks on disk and on the device: opened, checked, sampled, inverted and saved."""
