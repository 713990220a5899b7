"""Hearing without understanding: when the caller speaks, when they have finished, and whether they meant to interrupt.

Everything here counts time in samples of the audio it is fed; nothing reads a clock.
"""
