"""What every other part agrees on: records, errors, ids, clock, ports. Standard library only."""
