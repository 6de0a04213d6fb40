"""The only code that knows two stages at once: one file a verb."""
