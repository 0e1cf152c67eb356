"""Small real servers on loopback that behave, and misbehave when asked to."""
