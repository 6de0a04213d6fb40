"""Predictions and feedback as logged: appended before they are answered, read back as rows."""
