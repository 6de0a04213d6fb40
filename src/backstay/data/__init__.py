"""Rows: read, given a schema, identified by content, dealt to parts, kept, and audited."""
