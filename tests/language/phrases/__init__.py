"""Hand-made phrases with the value a caller means by each, one file per kind.

Columns: what was said; the value; the lengths the question allows. Today is Wednesday, 4 March 2026. The benchmark
`scripts/bench/understanding` reads them too.
"""
