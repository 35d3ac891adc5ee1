"""Scoring rows with checkpoints, export to ONNX, latency."""
