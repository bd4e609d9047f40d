"""What is verified before anything expensive starts."""
