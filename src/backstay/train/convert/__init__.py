"""Fitted scikit-learn objects as ONNX graphs, written by hand: skl2onnx fails on histogram boosting and is silently
wrong on trees that met missing values. Nothing here imports torch."""
