"""Sketches: what is kept of rows that are not kept. Constant memory; two merge into the sketch of all their rows."""
