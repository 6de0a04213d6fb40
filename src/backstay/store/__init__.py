"""Adapters of the ports Catalog, Ledger and Blobs: SQLite and local files."""
