"""The verbs of a project, grouped by what they act on."""
