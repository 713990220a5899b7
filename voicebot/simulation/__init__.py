"""Callers that the demo, tests and benchmarks place calls with: a carrier's side of the line and a caller's head."""
