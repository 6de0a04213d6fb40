"""What tools/make_docs.py writes, one file a kind of page."""
