"""Verdict to live: adopt, promote, roll back. Each is one transaction that commits whole or not at all."""
