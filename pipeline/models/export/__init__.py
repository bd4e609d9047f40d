"""Students as single files that draw without this project: programs of torch.export, and ONNX graphs."""
