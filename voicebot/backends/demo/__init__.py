"""The systems of a company that does not exist: a small bank with a shop, in one SQLite file."""
