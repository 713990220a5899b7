from voicebot.media.pacing import Pacer


def test_audio_is_handed_over_at_once_until_the_lead_is_full() -> None:
    pacer = Pacer(lead_s=0.2)
    now_s = 100.0
    for _ in range(5):
        assert pacer.delay_s(now_s) == 0
        pacer.sent(320, now_s)
    pacer.sent(320, now_s)
    assert round(pacer.delay_s(now_s), 3) == 0.04


def test_a_late_sender_catches_up_instead_of_drifting() -> None:
    pacer = Pacer(lead_s=0.2)
    sent_s, now_s = 0.0, 50.0
    start_s = now_s
    while sent_s < 2.0:
        now_s += pacer.delay_s(now_s)
        if round(sent_s, 2) == 1.0:
            now_s += 0.15  # the event loop was busy
        pacer.sent(320, now_s)
        sent_s += 0.04
    assert round(now_s - start_s, 2) == round(2.0 - 0.04 - 0.2, 2)


def test_after_an_idle_spell_the_schedule_starts_afresh() -> None:
    pacer = Pacer(lead_s=0.1)
    pacer.sent(8000, 10.0)
    pacer.sent(320, 60.0)
    assert pacer.delay_s(60.0) == 0


def test_cleared_audio_no_longer_delays() -> None:
    pacer = Pacer(lead_s=0.1)
    pacer.sent(8000, 10.0)
    pacer.cleared()
    assert pacer.delay_s(10.0) == 0
