"""Model and data to report: figures with intervals, slices, paired differences, controls."""
