"""Pure numerics on arrays: no names, no files, no clock. NumPy and SciPy only."""
