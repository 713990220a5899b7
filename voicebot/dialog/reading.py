"""What a caller's turn means at the question they were asked, picked among all readings of what was heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from voicebot.dialog.condition import Lookup
from voicebot.dialog.declining import adds_nothing, declines, turns_down
from voicebot.dialog.events import Entity, IntentScore, Interpretation, SlotValue
from voicebot.dialog.flow import Bot
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.slots import Verdict, judge, keyed_candidates, spoken_candidates
from voicebot.dialog.spelled import Spelled
from voicebot.dialog.steps import AskStep, ConfirmStep, QuestionStep, RequestStep, Rule, Slot, SlotType
from voicebot.dialog.values import SPELT, ValueKind
from voicebot.redaction import says_card


@dataclass(frozen=True, slots=True)
class Answered:
    """The question's value. `rest` was said besides it and may answer what comes next.

    Of a number or code, `spelled` holds every reading that can be.
    """

    value: SlotValue
    rest: tuple[Entity, ...] = ()
    spelled: Spelled | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """New values for things that were filled before."""

    changes: Mapping[str, SlotValue]
    rest: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """An intent: a command, or a request that starts a flow."""

    intent: str
    confidence: float
    entities: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class ChoseFlow:
    """A menu's key."""

    flow: str


@dataclass(frozen=True, slots=True)
class SaidYes:
    pass


@dataclass(frozen=True, slots=True)
class SaidNo:
    pass


@dataclass(frozen=True, slots=True)
class Refused:
    """A value of the right kind that will not do, and what to tell the caller. `slot` is whose value it was."""

    slot: str
    reason: Prompt | None


@dataclass(frozen=True, slots=True)
class Unsure:
    """One or two intents that it may have been."""

    intents: tuple[str, ...]
    confidence: float


Meaning = Answered | Corrected | Asked | ChoseFlow | SaidYes | SaidNo | Refused | Unsure


@dataclass(frozen=True, slots=True)
class Reading:
    """A meaning with the interpretation it came from and how much it counts (for the record)."""

    meaning: Meaning
    said: Interpretation
    score: float


#: How far a meaning is worth more than another when the recogniser likes both texts equally.
_WEIGHTS: dict[type[Meaning], float] = {
    Answered: 1.0,
    ChoseFlow: 1.0,
    Asked: 0.95,
    SaidYes: 0.95,
    SaidNo: 0.95,
    Corrected: 0.97,
    Unsure: 0.5,
    Refused: 0.3,
}
_RANK_DISCOUNT = 0.9
_LEAST_WEIGHT = 0.05
_BARE_ANSWER_WORDS = 2
#: A turn that is mostly the answer to the question asks for a person only from here.
_CLEAR_WISH = 0.9
#: Two intents to choose from by "the first one"; nothing else that is said counts as a value.
_OPTION_TYPE = SlotType("option", ValueKind.MOMENT)


@dataclass(frozen=True, slots=True)
class Scene:
    """The question and everything around it that decides what an answer means. `under_way` are the flows begun."""

    bot: Bot
    step: QuestionStep
    under_way: frozenset[str]
    slots: Mapping[str, Slot]
    rules: Mapping[str, tuple[Rule, ...]]
    correctable: tuple[str, ...]
    askable: frozenset[str]
    options: tuple[SlotValue, ...]
    lookup: Lookup
    lookup_with: Callable[[SlotValue], Lookup]
    today: date
    clarifying: tuple[str, ...] = ()

    def verdict_on(self, name: str, said: Interpretation, options: Sequence[SlotValue] = ()) -> Verdict:
        slot_type = self.slots[name].type
        candidates = spoken_candidates(said, slot_type, options)
        return judge(candidates, slot_type, self.rules.get(name, ()), self.lookup_with, self.today)

    def verdict_on_keys(self, name: str, keys: str) -> Verdict:
        slot_type = self.slots[name].type
        candidates = keyed_candidates(keys, slot_type, self.today, self.options)
        return judge(candidates, slot_type, self.rules.get(name, ()), self.lookup_with, self.today)


def read_turn(scene: Scene, interpretations: Sequence[Interpretation]) -> Reading | None:
    """Give every interpretation its meaning and return the one that counts most; None when none has any."""
    best: Reading | None = None
    if interpretations and _is_a_card(scene, interpretations[0]):
        interpretations = interpretations[:1]  # what was heard with fewer digits is no account number either
    for rank, said in enumerate(interpretations):
        meaning = _meaning(scene, said)
        if meaning is None:
            continue
        heard = said.confidence if 0 <= said.confidence <= 1 else 0.0
        score = max(heard, _LEAST_WEIGHT) * _RANK_DISCOUNT**rank * _WEIGHTS[type(meaning)]
        if best is None or score > best.score:
            best = Reading(meaning, said, score)
    if best and isinstance(best.meaning, Answered | Refused) and isinstance(scene.step, AskStep):
        return _spelled(scene, scene.step, interpretations) or best
    return best


def _is_a_card(scene: Scene, said: Interpretation) -> bool:
    """Whether a question for a shorter number was answered with one as long as a card's."""
    slot = scene.slots[scene.step.slot] if isinstance(scene.step, AskStep) else None
    if slot is None or slot.type.kind not in SPELT or not says_card(said.text):
        return False
    return bool(slot.type.lengths) and scene.verdict_on(slot.name, said, scene.options).candidate is None


def _spelled(scene: Scene, step: AskStep, interpretations: Sequence[Interpretation]) -> Reading | None:
    """Return the answer to a question for a number or code with all its readings; None if none of them can be.

    The likeliest that can be is worth more than a first one that cannot, however the recogniser ranks them. Secrets
    are not guessed.
    """
    slot_type = scene.slots[step.slot].type
    if slot_type.kind not in SPELT or slot_type.secret:
        return None
    heard: SlotValue | None = None
    weights: dict[SlotValue, float] = {}
    answers: list[tuple[Answered, Interpretation]] = []
    for said in interpretations:
        verdict = scene.verdict_on(step.slot, said, scene.options)
        value = verdict.candidate.value if verdict.candidate else verdict.refused
        heard = value if heard is None else heard
        if verdict.candidate and verdict.candidate.value not in weights:
            weights[verdict.candidate.value] = _share(said, interpretations[0])
            entity = verdict.candidate.entity
            answers.append((Answered(verdict.candidate.value, _besides(said, [entity] if entity else [])), said))
    if heard is None or not answers:
        return None
    ranked = tuple(sorted(weights.items(), key=lambda reading: -reading[1]))
    answer, said = next(each for each in answers if each[0].value == ranked[0][0])
    spelled = Spelled(heard, answer.value, answer.value, ranked)
    return Reading(replace(answer, spelled=spelled), said, said.confidence * _WEIGHTS[Answered])


def _share(said: Interpretation, first: Interpretation) -> float:
    """Return how likely a reading is beside the first one."""
    return min(1.0, max(said.confidence, 0.0) / first.confidence) if first.confidence > 0 else 1.0


def _meaning(scene: Scene, said: Interpretation) -> Meaning | None:
    person = scene.bot.commands.person
    top = _top_intent(scene, said)
    if top and top.intent == person and top.confidence >= _needed_for_person(scene, said):
        return Asked(person, top.confidence)
    if scene.clarifying:
        return _clarified(scene, said) or _requested(scene, said)
    match scene.step:
        case AskStep():
            return _answered(scene, scene.step, said)
        case ConfirmStep():
            return _confirmed(scene, scene.step, said)
        case RequestStep():
            return _yes_or_no(said) if _is_bare(said) else _requested(scene, said) or _yes_or_no(said)


def _needed_for_person(scene: Scene, said: Interpretation) -> float:
    """Return how clear a wish for a person must be: "my customer number is" and the number asked for is hardly one."""
    if isinstance(scene.step, AskStep) and not scene.clarifying and _typed(scene, scene.step.slot):
        candidate = scene.verdict_on(scene.step.slot, said, scene.options).candidate
        if candidate and candidate.words * 2 >= len(said.text.split()):
            return max(_CLEAR_WISH, scene.bot.understanding.accept)
    return scene.bot.understanding.accept


def _is_bare(said: Interpretation) -> bool:
    """Whether it is a yes or a no and nothing else: "no" alone is no goodbye, and "yes" no request."""
    return said.affirmative is not None and len(said.text.split()) <= _BARE_ANSWER_WORDS


def _top_intent(scene: Scene, said: Interpretation) -> IntentScore | None:
    known = _known(scene, said)
    return max(known, key=lambda score: score.confidence, default=None)


def _known(scene: Scene, said: Interpretation) -> list[IntentScore]:
    """Return the intents that the bot has. "I don't want a person" sounds like asking for one, and is not."""
    unwanted = {scene.bot.commands.person} if said.refuses_person else set()
    return [score for score in said.intents if score.intent in scene.bot.intents_by_name.keys() - unwanted]


def _is_command(scene: Scene, intent: str) -> bool:
    found = scene.bot.intents_by_name.get(intent)
    return found is not None and found.flow is None


def _answered(scene: Scene, step: AskStep, said: Interpretation) -> Meaning | None:
    verdict = scene.verdict_on(step.slot, said, scene.options)
    aside = _aside(scene, said)
    if verdict.candidate:
        entity = verdict.candidate.entity
        is_offered = step.no is not None and verdict.candidate.value in scene.options
        if is_offered and turns_down(said):
            return SaidNo()
        # "What time do you open on Tuesday" holds a day, but answers no question about one.
        if aside and verdict.candidate.words * 2 < len(said.text.split()):
            return aside
        return Answered(verdict.candidate.value, _besides(said, [entity] if entity else []))
    if step.no is not None and declines(said):
        return SaidNo()
    if said.correction and (corrected := _correction(scene, said, scene.correctable)):
        return corrected  # before a command: "no wait, wednesday" asks for no time
    is_mostly_refused = verdict.refused_words * 2 > len(said.text.split())
    if aside and _is_command(scene, aside.intent) and not is_mostly_refused:
        return aside
    names = scene.correctable
    if verdict.refused is not None and not said.correction:
        # A house number of five digits is one that will not do; without a "no" it is no zip code given anew.
        asked = scene.slots[step.slot].type.kind
        names = tuple(name for name in names if name not in scene.slots or scene.slots[name].type.kind is not asked)
    if is_mostly_refused:  # "5 am" is a time that will not do, and no request
        return _correction(scene, said, names) or refusal_of(verdict, step.slot)
    return _correction(scene, said, names) or aside or refusal_of(verdict, step.slot)


def _confirmed(scene: Scene, step: ConfirmStep, said: Interpretation) -> Meaning | None:
    asked = [name for name in step.slots if name in scene.askable]  # the rest came from a system and is as it is
    correction = _correction(scene, said, asked) or _restated(scene, said, asked)
    if correction:
        return correction
    refusals = (refusal_of(scene.verdict_on(name, said), name) for name in asked if _typed(scene, name))
    refused = next((refusal for refusal in refusals if refusal), None)
    if refused and said.affirmative is not True:
        return refused
    return _yes_or_no(said) or _aside(scene, said)


def _typed(scene: Scene, name: str) -> bool:
    """Whether values of this slot stand out from other words; a free text or a bare yes does not."""
    kind = scene.slots[name].type.kind if name in scene.slots else None
    vague = {ValueKind.TEXT, ValueKind.YES_NO, ValueKind.NAME}
    return kind is not None and kind.answer is not None and kind not in vague


def _correction(scene: Scene, said: Interpretation, names: Sequence[str]) -> Corrected | None:
    changes: dict[str, SlotValue] = {}
    used: list[Entity] = []
    for name in names:
        if not _typed(scene, name):
            continue
        candidate = scene.verdict_on(name, said).candidate
        if candidate and candidate.value != scene.lookup(name) and candidate.entity not in used:
            changes[name] = candidate.value
            if candidate.entity:
                used.append(candidate.entity)
    if not changes:
        return None
    return Corrected(changes, _besides(said, used))


def _restated(scene: Scene, said: Interpretation, names: Sequence[str]) -> Corrected | None:
    """Take "no, at four" where four was read back for what it says: it is read back once more, and not given up."""
    if said.affirmative is not False:
        return None
    same: dict[str, SlotValue] = {}
    around = said.text
    for name in names:
        candidate = scene.verdict_on(name, said).candidate if _typed(scene, name) else None
        if candidate and candidate.entity and candidate.value == scene.lookup(name):
            same[name] = candidate.value
            start, end = candidate.entity.start, candidate.entity.end
            around = around[:start] + " " * (end - start) + around[end:]
    return Corrected(same) if same and adds_nothing(around) else None


def _besides(said: Interpretation, used: Sequence[Entity]) -> tuple[Entity, ...]:
    """What was said besides `used`: another reading of the same words is not."""
    return tuple(
        entity
        for entity in said.entities
        if all(entity.end <= taken.start or taken.end <= entity.start for taken in used)
    )


def refusal_of(verdict: Verdict, slot: str) -> Refused | None:
    """Return what is said against a value of the right kind, if one was given."""
    return Refused(slot, verdict.reason) if verdict.refused is not None else None


def _aside(scene: Scene, said: Interpretation) -> Asked | None:
    """A command, or a request that is clear enough to leave the question for it."""
    top = _top_intent(scene, said)
    if top is None or _is_bare(said):
        return None
    needed = scene.bot.understanding
    if _is_command(scene, top.intent):
        return Asked(top.intent, top.confidence) if top.confidence >= needed.accept else None
    leads_elsewhere = scene.bot.intents_by_name[top.intent].flow not in scene.under_way
    if leads_elsewhere and top.confidence >= needed.digress:
        return Asked(top.intent, top.confidence, said.entities)
    return None


def _requested(scene: Scene, said: Interpretation) -> Asked | Unsure | None:
    needed = scene.bot.understanding
    ranked = sorted(_known(scene, said), key=lambda score: score.confidence, reverse=True)
    if not ranked:
        return None
    top = ranked[0]
    titled = [score for score in ranked if _title_of(scene, score.intent)]
    rivals = [score for score in titled[:2] if top.confidence - score.confidence < needed.margin]
    # Neither need be likely alone: that it is one of them must be as likely as an intent that is taken.
    if len(rivals) == 2 and rivals[0].confidence + rivals[1].confidence >= needed.accept:
        return Unsure((rivals[0].intent, rivals[1].intent), top.confidence)
    if not top.confidence >= needed.clarify:
        return None
    if top.confidence >= needed.accept:
        return Asked(top.intent, top.confidence, said.entities)
    return Unsure((top.intent,), top.confidence) if _title_of(scene, top.intent) else None


def _title_of(scene: Scene, intent: str) -> str:
    flow = scene.bot.intents_by_name[intent].flow
    return scene.bot.flows[flow].title if flow else ""


def _clarified(scene: Scene, said: Interpretation) -> Meaning | None:
    """The answer to "did you mean this or that": by yes, by number, or by saying it again more like one of them."""
    options = scene.clarifying
    if len(options) == 1 and said.affirmative is True:
        return Asked(options[0], 1.0, said.entities)
    candidates = spoken_candidates(said, _OPTION_TYPE, options)
    chosen = next((str(candidate.value) for candidate in candidates if candidate.value in options), None)
    if chosen:
        return Asked(chosen, 1.0, said.entities)
    among = [score for score in said.intents if score.intent in options]
    likeliest = max(among, key=lambda score: score.confidence, default=None)
    if likeliest and likeliest.confidence >= scene.bot.understanding.clarify and len(options) > 1:
        return Asked(likeliest.intent, likeliest.confidence, said.entities)
    return SaidNo() if said.affirmative is False else None


def _yes_or_no(said: Interpretation) -> SaidYes | SaidNo | None:
    if said.affirmative is None:
        return None
    return SaidYes() if said.affirmative else SaidNo()
