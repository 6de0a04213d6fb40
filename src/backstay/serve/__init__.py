"""Live model to answers: Open Inference Protocol v2 over REST, every answer logged before it is given."""
