"""What was heard of one caller lately: where sound and voice began and ended, in samples of the call."""

from __future__ import annotations

from collections import deque
from itertools import islice

from voicebot.speech.listening.vad import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE_DBFS, Activity

#: Frames in which a voice must show itself, see `VoiceTrace.recent_voiced`.
ONSET_WINDOW = 8
#: A pause ends when two of three frames are voiced again, so that no click prolongs it.
_RESUME_VOICED = 2
_RESUME_WINDOW = 3
#: Quiet frames inside one sound.
_SOUND_GAP = 2
#: What is so much softer than the loudest of a sound is its dying away, which a detector hears as voice for a while.
_DYING_AWAY_DB = 18.0


def samples(duration_ms: int) -> int:
    return duration_ms * SAMPLE_RATE_HZ // 1000


def milliseconds(count: int) -> int:
    return count * 1000 // SAMPLE_RATE_HZ


class VoiceTrace:
    """Fed every frame of the call in order. It knows nothing of turns; `forget_voice` is told when one is over."""

    def __init__(self) -> None:
        self.position_samples = 0
        #: The end of the last voiced frame, and of the last one that was not its sound's dying away.
        self.last_voice_sample = 0
        self.last_loud_sample = 0
        #: Frames since the latest onset that were voiced, or were a voice known as our own prompt's echo.
        self.voiced_frames = 0
        self.echo_frames = 0
        self._deaf_until_sample = 0
        self._recent: deque[bool] = deque([False] * ONSET_WINDOW, maxlen=ONSET_WINDOW)
        self._hints: deque[bool] = deque([False] * ONSET_WINDOW, maxlen=ONSET_WINDOW)
        self._sound_sample: int | None = None
        self._quiet_frames = 0
        self._loudest_dbfs = SILENCE_DBFS

    @property
    def silence_ms(self) -> int:
        return milliseconds(self.position_samples - self.last_voice_sample)

    @property
    def voiced_ms(self) -> int:
        return milliseconds(self.voiced_frames * FRAME_SAMPLES)

    @property
    def recent_voiced(self) -> int:
        """Voiced frames among the last `ONSET_WINDOW`."""
        return sum(self._recent)

    @property
    def recent_hints(self) -> int:
        """Frames among the last `ONSET_WINDOW` that may belong to a voice."""
        return sum(self._hints)

    @property
    def resumed(self) -> bool:
        """Whether a voice is there again after a pause."""
        return sum(islice(reversed(self._recent), _RESUME_WINDOW)) >= _RESUME_VOICED

    def feed(self, activity: Activity, *, in_pause: bool) -> None:
        """Take the next 20 ms; in a pause a single voiced frame is not yet the caller's voice."""
        self.position_samples += FRAME_SAMPLES
        voiced = activity.speech and self.position_samples > self._deaf_until_sample
        self._recent.append(voiced)
        self._hints.append(activity.hint and self.position_samples > self._deaf_until_sample)
        self._note_sound(activity)
        self.voiced_frames += voiced
        self.echo_frames += activity.echo
        if voiced and (self.resumed or not in_pause):
            self.last_voice_sample = self.position_samples
            if activity.level_dbfs >= self._loudest_dbfs - _DYING_AWAY_DB:
                self.last_loud_sample = self.position_samples

    def onset(self, longest_lead_ms: int) -> int:
        """Begin counting a voice and return where it began: its sound's start, at most so long before its first frame.

        Sound before a voice is known as one belongs to it; sound long before is another's.
        """
        self.voiced_frames = self.recent_voiced
        self.echo_frames = 0
        first = self.position_samples - (ONSET_WINDOW - self._recent.index(True)) * FRAME_SAMPLES
        sound = first if self._sound_sample is None else self._sound_sample
        return min(first, max(sound, first - samples(longest_lead_ms)))

    def be_deaf(self, duration_ms: int) -> None:
        """Hear no voice in what comes within `duration_ms`."""
        self._deaf_until_sample = self.position_samples + samples(duration_ms)

    def forget_voice(self) -> None:
        """What was heard so far is dealt with: the next voice must show itself anew."""
        self._recent.extend([False] * ONSET_WINDOW)
        self._hints.extend([False] * ONSET_WINDOW)
        self.voiced_frames = 0
        self.echo_frames = 0

    def _note_sound(self, activity: Activity) -> None:
        """Keep where the present sound began."""
        self._quiet_frames = 0 if activity.sound and not activity.echo else self._quiet_frames + 1
        if self._quiet_frames > _SOUND_GAP:
            self._sound_sample = None
            self._loudest_dbfs = SILENCE_DBFS
        elif self._sound_sample is None and self._quiet_frames == 0:
            self._sound_sample = self.position_samples - FRAME_SAMPLES
        self._loudest_dbfs = max(self._loudest_dbfs, activity.level_dbfs)
