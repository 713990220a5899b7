"""Who takes a caller, when, and what happens when nobody does. Pure: the clock comes in, nothing is done here."""
