"""What lies in a bundle beside the model: examples that prove it, what may be told of its results, and ONNX."""
