from __future__ import annotations

from voicebot.telephony.patience import Patience


def test_patience_ends_with_bad_messages_in_a_row() -> None:
    patience = Patience(3)
    for _ in range(1000):
        patience.good()
    exhausted = []
    for _ in range(3):
        patience.bad()
        exhausted.append(patience.exhausted)

    assert exhausted == [False, False, True]


def test_good_messages_make_up_for_bad_ones_slowly() -> None:
    steady, worse = Patience(3), Patience(3)
    for _ in range(1000):
        for patience, good in ((steady, 10), (worse, 9)):
            patience.bad()
            for _ in range(good):
                patience.good()

    assert not steady.exhausted
    assert worse.exhausted
