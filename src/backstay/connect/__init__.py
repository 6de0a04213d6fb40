"""Wires to the outside: what leaves this machine, and only because the project file says where to."""
