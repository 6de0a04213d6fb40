"""The model bundle: an ONNX graph, its manifest, and the id that hashes both. Neither pickle nor torch in here."""
