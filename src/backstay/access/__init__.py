"""Keys and scopes: who may ask what of a server."""
