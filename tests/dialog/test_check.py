"""Every mistake that an admin can make is found, at its line, with what is wrong and what would mend it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from tests.dialog.strategies import FLOWS
from voicebot.dialog.check import ExampleTaken, check
from voicebot.dialog.finding import Severity


@dataclass(frozen=True)
class Mistake:
    """Replaces `old` in `file` by `new`; the check must then say `finds` at the line where `marks` stands."""

    file: str
    old: str
    new: str
    finds: str
    marks: str = ""
    severity: Severity = Severity.ERROR


W = Severity.WARNING
MISTAKES = {
    # The YAML itself
    "broken YAML": Mistake("who.yaml", "  - ask: member", "  - ask: [member", "not valid YAML"),
    "an alias": Mistake("who.yaml", '["Your number?"]', "*numbers", "aliases"),
    "a key twice": Mistake("who.yaml", "flow: who", "flow: who\nflow: whom", "written twice", "flow: whom"),
    "an empty file": Mistake("down.yaml", "flow: down\nsteps:\n  - say: Our system is down.\n", "", "file is empty"),
    # Words of the language
    "a misspelt section": Mistake("bot.yaml", "ladders:", "laders:", "'laders' is not known"),
    "a misspelt key": Mistake("renew.yaml", "prompt: Which shelf", "promt: Which shelf", "'promt' is not known"),
    "a misspelt step": Mistake("sorry.yaml", "- say:", "- sya:", "does nothing that is known", "- sya"),
    "two steps in one": Mistake("person.yaml", "  - person: asked", "  - person: asked\n    say: x", "does two"),
    "no flow name": Mistake("sorry.yaml", "flow: sorry", "flow:", "text is missing", "flow:"),
    "a bad flow name": Mistake("sorry.yaml", "flow: sorry", "flow: So Sorry", "no good name"),
    "no steps": Mistake("down.yaml", "steps:\n  - say: Our system is down.\n", "", "'steps' is missing"),
    "a flow twice": Mistake("down.yaml", "flow: down", "flow: sorry", "two flows named 'sorry'", ""),
    "an id twice": Mistake(
        "welcome.yaml",
        "- say: Corner Library.",
        "- say: Corner.\n    id: first",
        "Two steps have the id",
        "id: first\n    menu",
    ),
    "a section twice": Mistake("who.yaml", "flow: who", "start: who", "'start' is already", ""),
    # Names
    "an unknown type": Mistake("renew.yaml", "day: return_day", "day: return_dya", "type 'return_dya' is not declared"),
    "an unknown check digit": Mistake(
        "bot.yaml",
        "    kind: digits\n    length: 4\n    invalid: It has four digits.\n    keys: You can key it in.\n  pin",
        "    kind: digits\n    length: 4\n    check_digit: lun\n    invalid: x\n    keys: y\n  pin",
        "'lun' is no rule for check digits",
        "check_digit: lun",
    ),
    "a check digit of a day": Mistake(
        "bot.yaml",
        "kind: date",
        "kind: date\n    check_digit: luhn",
        "belongs to a type of digits",
        "check_digit: luhn",
    ),
    "no such argument": Mistake(
        "bot.yaml",
        "    secret: [pin]",
        "    secret: [pin]\n    no_such: {unknown: memer}",
        "'memer' is no argument",
        "no_such",
    ),
    "a secret tried out": Mistake(
        "bot.yaml", "    secret: [pin]", "    secret: [pin]\n    no_such: {unknown: pin}", "never tried out", "no_such"
    ),
    "no such failure": Mistake(
        "bot.yaml",
        "    secret: [pin]",
        "    secret: [pin]\n    no_such: {gone: member}",
        "'gone' is no failure",
        "no_such",
    ),
    "an unknown kind": Mistake("bot.yaml", "kind: date", "kind: dtae", "'dtae' is no kind"),
    "a slot without type": Mistake("renew.yaml", "ask: shelf", "ask: shelv", "'shelv' has no type"),
    "an unknown slot in a prompt": Mistake(
        "renew.yaml", "the fee is {fee}", "the fee is {fees}", "'fees' is not a slot"
    ),
    "an unknown slot in a condition": Mistake("renew.yaml", "if: late_days > 3", "if: lat_days > 3", "'lat_days'"),
    "an unknown slot in an argument": Mistake("renew.yaml", "day: day}", "day: dya}", "'dya' is not a slot"),
    "an unknown slot to clear": Mistake("renew.yaml", "clear: [day]", "clear: [dey]", "'dey' is not a slot"),
    "an unknown operation": Mistake("renew.yaml", "call: books.renew", "call: books.renw", "no operation 'books.renw'"),
    "an unknown argument": Mistake("renew.yaml", "day: day}", "day: day, colour: day}", "'colour' is not known"),
    "a missing argument": Mistake(
        "renew.yaml", "{member: member, day: day}", "{member: member}", "needs 'day'", "call: books.renew"
    ),
    "an unknown result": Mistake("renew.yaml", "save: [due]", "save: [deu]", "gives no 'deu'"),
    "an unhandled failure": Mistake(
        "renew.yaml", "      unknown: [done]\n", "", "may answer 'unknown'", "call: books.due"
    ),
    "an unknown failure": Mistake("renew.yaml", "unknown: [done]", "unknwon: [done]", "'unknwon' is not known"),
    "an unknown flow to run": Mistake("renew.yaml", "run: who", "run: woh", "no flow 'woh'"),
    "an unhandled outcome of a part": Mistake(
        "renew.yaml",
        "    on:\n      unknown:\n        - say: I don't know that number.\n        - done\n",
        "",
        "may end with 'unknown'",
        "run: who",
    ),
    "an unknown step to go to": Mistake("welcome.yaml", "go_to: first", "go_to: frist", "no step of this flow 'frist'"),
    "an unknown outcome of the flow": Mistake("who.yaml", "done: unknown", "done: unknwon", "no outcome of this flow"),
    "an unknown outcome of the call": Mistake(
        "sorry.yaml", "end: not_understood", "end: misunderstood", "outcome of a call"
    ),
    "an unknown goal": Mistake("renew.yaml", "reached: renew_books", "reached: renew", "no intent 'renew'"),
    "an unknown flow in the menu": Mistake("welcome.yaml", "{1: renew,", "{1: renw,", "no flow 'renw'"),
    "a menu with more than one digit": Mistake("welcome.yaml", "{1: renew,", "{12: renew,", "'12' is no key"),
    "an unknown intent of a command": Mistake(
        "bot.yaml", "help: help,", "help: halp,", "no intent 'halp'", "commands:"
    ),
    "a missing command": Mistake("bot.yaml", "slower: slower, ", "", "'slower' is missing", "commands:"),
    "a missing pattern": Mistake("bot.yaml", "  wait: Take your time.\n", "", "'wait' is missing", "  returning:"),
    "a ladder without end": Mistake(
        "bot.yaml",
        "    - say: I can't hear well.\n    - gives_up: sorry",
        "    - say: I can't hear well.",
        "has no end",
        "    - say: I can't hear",
    ),
    "a pattern with a value it does not have": Mistake("bot.yaml", "Back to {title}.", "Back to {name}.", "'name'"),
    "an intent that starts nothing": Mistake(
        "bot.yaml", "intents:\n", "intents:\n  sing: [sing, a song, la la]\n", "starts nothing", ""
    ),
    "an intent twice": Mistake(
        "person.yaml", "  person:\n    -", "  renew_books: [x, y, z]\n  person:\n    -", "declared twice", ""
    ),
    "a flow without title": Mistake("renew.yaml", "title: renewing books\n", "", "has no title", ""),
    # Templates, conditions, patterns
    "a stray brace": Mistake("down.yaml", "is down.", "is {down.", "stands alone"),
    "an unknown form": Mistake("renew.yaml", "{late_days:count day}", "{late_days:cuont day}", "no form of a value"),
    "a count without noun": Mistake("renew.yaml", "{late_days:count day}", "{late_days:count}", "noun"),
    "a broken condition": Mistake("renew.yaml", "if: late_days > 3", "if: late_days >", "is not a condition"),
    "a condition that computes": Mistake(
        "renew.yaml", "late_days > 3", "late_days + 1 > 3", "neither a slot nor a constant"
    ),
    "an unknown aspect": Mistake("bot.yaml", "value.days_ahead", "value.days_ahed", "'.days_ahed' is unknown"),
    "a broken pattern": Mistake(
        "bot.yaml", "    length: 4\n    invalid", "    pattern: '[0-9'\n    invalid", "pattern is not valid"
    ),
    "a choice without choices": Mistake(
        "bot.yaml",
        "    choices:\n      fiction: [fiction, novels]\n      science: [science, physics]\n",
        "",
        "needs its choices",
        "    kind: choice",
    ),
    "a bound without what follows": Mistake(
        "who.yaml",
        "        at_most: 2\n        otherwise:\n          - done: unknown\n",
        "        at_most: 2\n",
        "bound is used up",
        "go_to: ask_member",
    ),
    "a bound that is no number": Mistake("who.yaml", "at_most: 2", "at_most: twice", "no whole number"),
    "too few examples": Mistake("bot.yaml", "[hold on, one second, just a moment]", "[hold on]", "too few examples"),
    # How it hangs together
    "a step behind the end": Mistake(
        "sorry.yaml",
        "  - end: not_understood",
        "  - end: not_understood\n  - say: Ha.",
        "No conversation comes",
        "- say: Ha.",
    ),
    "a circle without a question": Mistake(
        "down.yaml", "is down.\n", "is down.\n  - go_to: say\n", "round for ever", "- say: Our"
    ),
    "a circle through a filled question": Mistake(
        "renew.yaml",
        "  - ask: day\n",
        "  - if: fee\n    then: [{go_to: ask_shelf}]\n  - ask: day\n",
        "round for ever",
        "- ask: shelf",
    ),
    "flows that run each other": Mistake(
        "down.yaml", "is down.\n", "is down.\n  - run: down\n", "run each other", "flow: down"
    ),
    "a flow that nothing leads to": Mistake(
        "bot.yaml", "backend_down: down", "backend_down: sorry", "Nothing leads to the flow 'down'", ""
    ),
    "a start that asks nothing": Mistake(
        "bot.yaml", "start: welcome", "start: sorry", "never asks what the caller wants", ""
    ),
    "no person for who asks for one": Mistake("person.yaml", "  - person: asked\n", "", "calls none", "flow: person"),
    "key 0 for something else": Mistake("welcome.yaml", "0: person", "0: renew", "Key 0 leads to", "- request:"),
    "a slot said before it is filled": Mistake(
        "renew.yaml",
        "  - run: who",
        "  - say: Until {day}.\n  - run: who",
        "'day' may still be empty",
        "- say: Until {day}.",
    ),
    "a slot filled on one path only": Mistake(
        "renew.yaml",
        "  - confirm: [day]",
        "  - if: shelf\n    then: [{clear: [day]}]\n  - confirm: [day]",
        "'day' may still be empty",
        "- confirm",
    ),
    "a slot sent before it is filled": Mistake(
        "renew.yaml",
        "  - run: who",
        "  - call: books.renew\n    with: {member: member, day: today}\n  - run: who",
        "'member' may still be empty",
        "- call: books.renew\n    with: {member: member, day: today}",
    ),
    "a comparison of unlike things": Mistake("renew.yaml", "late_days > 3", 'late_days > "three"', "never alike"),
    "an order of words": Mistake("renew.yaml", 'shelf == "science"', 'shelf > "science"', "makes no sense"),
    "an unknown choice": Mistake("renew.yaml", 'shelf == "science"', 'shelf == "sciense"', "none of the choices"),
    "an aspect of the wrong kind": Mistake(
        "renew.yaml", "if: late_days > 3", 'if: fee.weekday == "monday"', "has no '.weekday'"
    ),
    "an argument of the wrong kind": Mistake(
        "renew.yaml", "day: day}", "day: shelf}", "takes date, not choice", "call: books.renew"
    ),
    "a form of the wrong kind": Mistake(
        "renew.yaml", "due on {due}", "due on {due:count day}", "cannot be said as 'count'"
    ),
    "a secret remembered": Mistake(
        "bot.yaml",
        "  member: member_number",
        "  member: member_number\n  code: pin",
        "'code' is secret and must not be remembered",
        "code: pin",
    ),
    "a secret said aloud": Mistake(
        "renew.yaml", "Until {day}, then?", "Until {day} with {pin}?", "secret and must not be said"
    ),
    "a secret read back": Mistake(
        "renew.yaml", "confirm: [day]", "confirm: [day, pin]", "secret and must not be read back"
    ),
    "a secret written down by an operation": Mistake(
        "bot.yaml", "    secret: [pin]\n", "", "would be written down", ""
    ),
    "an unheard confirmation": Mistake(
        "renew.yaml", "prompt: Until {day}, then?", "prompt: Is that right?", "without hearing it", "- confirm"
    ),
    "a key that leads nowhere": Mistake(
        "welcome.yaml", "Press 1 to renew.", "Press 1 to renew, 2 to return.", "key 2, which leads nowhere", "- request"
    ),
    "an example of two intents": Mistake("person.yaml", "- a human please", "- renew please", "is an example of", ""),
    # What callers will suffer from
    "a write without a yes": Mistake(
        "renew.yaml",
        "  - ask: shelf",
        "  - call: books.renew\n    with: {member: member, day: today}\n  - ask: shelf",
        "has not said yes",
        "- call: books.renew\n    with: {member: member, day: today}",
        W,
    ),
    "a question without other words": Mistake(
        "renew.yaml", '    again: ["Which shelf?"]\n', "", "same words come again", "ask: shelf", W
    ),
    "a question without keys": Mistake(
        "bot.yaml", "    keys: Press 1 for fiction or 2 for science.\n", "", "how to answer with keys", "", W
    ),
    "a key that nobody is told of": Mistake(
        "welcome.yaml", "{1: renew,", "{1: renew, 5: renew,", "told of key 5", "- request", W
    ),
    "a wrong value without a reason": Mistake(
        "bot.yaml",
        "    invalid: It has four digits.\n    keys",
        "    keys",
        "not told what is wrong",
        "    kind: digits",
        W,
    ),
    "too many words": Mistake(
        "down.yaml", "Our system is down.", "Our system is down. " * 20, "words at once", "- say", W
    ),
    "a goal that is never reached": Mistake(
        "renew.yaml", "  - reached: renew_books\n", "", "counts as a failure", "flow: renew", W
    ),
    "an unused operation": Mistake(
        "bot.yaml",
        "operations:\n",
        "operations:\n  books.burn: {arguments: {}}\n",
        "calls the operation 'books.burn'",
        "  books.burn",
        W,
    ),
    "an unused type": Mistake(
        "bot.yaml", "types:\n", "types:\n  colour: {kind: text}\n", "has the type 'colour'", "  colour", W
    ),
    "an unused slot": Mistake(
        "renew.yaml", "  shelf: shelf\n", "  shelf: shelf\n  other: date\n", "'other' is never used", "  other", W
    ),
    "an outcome that never comes": Mistake(
        "down.yaml", "flow: down", "flow: down\noutcomes: [told, untold]", "never ends with 'untold'", "flow: down", W
    ),
    "an undo that is no operation": Mistake(
        "bot.yaml",
        "undo: {by_hand: Put the former day back.}",
        "undo: {operation: books.return}",
        finds="There is no operation 'books.return'",
    ),
    "an undo that takes something else": Mistake(
        "bot.yaml",
        "undo: {by_hand: Put the former day back.}",
        "undo: {operation: books.renew, with: {member: member}}",
        finds="cannot undo this",
    ),
    "an undo that says two things": Mistake(
        "bot.yaml",
        "undo: {by_hand: Put the former day back.}",
        "undo: {by_hand: Put the former day back., never: Days go by.}",
        finds="or why nobody can",
    ),
    "a write that nothing undoes": Mistake(
        "bot.yaml",
        "    undo: {by_hand: Put the former day back.}\n",
        "",
        finds="nothing says how it is undone",
    ),
    "an approval whose refusal nothing follows": Mistake(
        "bot.yaml",
        "undo: {by_hand: Put the former day back.}",
        'undo: {by_hand: Put the former day back.}\n    approve_when: member == "1"',
        finds="may answer 'not_approved'",
    ),
}


def test_the_small_bot_has_no_mistakes(tmp_path: Path) -> None:
    assert [str(finding) for finding in check(write_bot(tmp_path)).findings] == []


def test_the_shipped_bot_has_no_mistakes() -> None:
    assert [str(finding) for finding in check(FLOWS).findings] == []


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_seeded_mistake_is_found_at_its_line(tmp_path: Path, mistake: Mistake) -> None:
    path = write_bot(tmp_path) / mistake.file
    before = path.read_text(encoding="utf-8")
    assert mistake.old in before
    after = before.replace(mistake.old, mistake.new, 1)
    path.write_text(after, encoding="utf-8")
    found = [finding for finding in check(tmp_path).findings if mistake.finds in finding.what]
    assert found, [str(finding) for finding in check(tmp_path).findings]
    assert {finding.severity for finding in found} == {mistake.severity}
    assert all(finding.fix for finding in found)
    sought = mistake.marks or mistake.new.split("\n")[0].strip()
    if mistake.marks or sought:
        line = after[: after.index(sought)].count("\n") + 1
        lines = {finding.line for finding in found if finding.file == mistake.file}
        assert line in lines or not mistake.marks, f"line {line} expected, found {lines}"


def test_the_examples_that_a_classifier_confuses_are_told_with_its_figures(tmp_path: Path) -> None:
    taken = ExampleTaken("renew please", "renew_books", "person", 0.83)
    findings = check(write_bot(tmp_path), collide=lambda intents: [taken] if "person" in intents else []).findings
    assert [finding.rule for finding in findings] == ["collision"]
    assert "83%" in findings[0].what
    assert findings[0].file == "renew.yaml"


def test_one_mistake_does_not_hide_another(tmp_path: Path) -> None:
    path = write_bot(tmp_path) / "renew.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("{fee}", "{fees}").replace("call: books.renew", "call: books.renw"), encoding="utf-8")
    (tmp_path / "sorry.yaml").write_text("flow: sorry\nstepps: []\n", encoding="utf-8")
    said = " ".join(str(finding) for finding in check(tmp_path).findings)
    assert all(word in said for word in ("fees", "books.renw", "stepps", "Did you mean"))


def test_a_warning_lets_a_bot_go_live_and_an_error_does_not(tmp_path: Path) -> None:
    path = write_bot(tmp_path) / "renew.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('    again: ["Which shelf?"]\n', ""), encoding="utf-8")
    assert check(tmp_path).may_go_live
    path.write_text(text.replace("Until {day}, then?", "Is that right?"), encoding="utf-8")
    report = check(tmp_path)
    assert report.bot is not None
    assert not report.may_go_live
