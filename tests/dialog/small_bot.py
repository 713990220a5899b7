"""A complete bot in two small files, to be broken in one place at a time."""

from __future__ import annotations

from pathlib import Path

BOT = """\
bot: Corner Library
language: en
start: welcome
remember:
  member: member_number
commands: {repeat: repeat, help: help, start_over: start_over, wait: wait, slower: slower, person: person,
  cancel: cancel}
intents:
  repeat: [say that again, pardon me, once more]
  help: [help me, what can i say, what now]
  start_over: [start over, from the beginning, main menu]
  wait: [hold on, one second, just a moment]
  slower: [slower please, not so fast, slow down]
  cancel: [never mind, forget it, leave it]
replies:
  thanks:
    examples: [thank you, thanks, cheers]
    say: You're welcome.
types:
  member_number:
    kind: digits
    length: 4
    invalid: It has four digits.
    keys: You can key it in.
  pin:
    kind: digits
    length: 4
    secret: yes
    invalid: It has four digits.
    keys: You can key it in.
  return_day:
    kind: date
    must:
      - be: value.days_ahead >= 0
        or_say: That day has passed.
    keys: You can key in month and day.
  shelf:
    kind: choice
    choices:
      fiction: [fiction, novels]
      science: [science, physics]
    keys: Press 1 for fiction or 2 for science.
operations:
  books.due:
    arguments: {member: digits, pin: digits}
    secret: [pin]
    results: {title: text, due: date, late_days: number, fee: money}
    failures: [unknown, nothing_due]
  books.renew:
    arguments: {member: digits, day: date}
    write: yes
    undo: {by_hand: Put the former day back.}
    results: {due: date}
ladders:
  silence:
    - say: I didn't hear you.
    - gives_up: sorry
  no_match:
    - say: I didn't get that.
      offer_keys: yes
    - gives_up: sorry
  hearing:
    - say: I can't hear well.
    - gives_up: sorry
patterns:
  returning: Back to {title}.
  next_request: Next, {title}.
  continuing: Welcome back to {title}.
  needs_person: A person has to decide that.
  clarify_one: Is it {first}?
  clarify_two: Is it {first} or {second}?
  clarify_again: What is it, then?
  cancelled: All right, not that.
  wait: Take your time.
  start_over: Once more, then.
  help: You can renew books.
  talked_too_long: A few words are enough.
  cannot_change_now: That's done already.
  keys_yes_no: Press 1 for yes, 2 for no.
  one_moment: One moment.
  voice_trouble: My voice is gone.
  call_too_long: That was long. Goodbye.
  shutting_down: We're closing. Goodbye.
  broken: Something broke. Goodbye.
  backend_down: down
"""

FLOWS = {
    "welcome.yaml": """\
flow: welcome
steps:
  - say: Corner Library.
  - request: What can I do for you?
    id: first
    menu: {1: renew, 0: person}
    again: [You can renew books.]
    keys: Press 1 to renew.
  - go_to: first
""",
    "renew.yaml": """\
flow: renew
title: renewing books
intents:
  renew_books:
    - i want to renew my books
    - can i keep my book longer
    - extend my loan
    - renew please
    - i need more time with a book
slots:
  day: return_day
  shelf: shelf
steps:
  - run: who
    on:
      unknown:
        - say: I don't know that number.
        - done
  - ask: pin
    prompt: And your PIN?
    again: ["Your PIN?"]
  - call: books.due
    with: {member: member, pin: pin}
    save: [title, due, late_days, fee]
    on:
      unknown: [done]
      nothing_due:
        - say: Nothing is due.
        - done
  - if: late_days > 3
    then:
      - say: It's {late_days:count day} late, and the fee is {fee}.
  - say: "{title} is due on {due}."
  - ask: shelf
    prompt: Which shelf is it from?
    again: ["Which shelf?"]
  - if: shelf == "science"
    then:
      - say: Science books go out for a week.
  - ask: day
    prompt: Until when would you like to keep it?
    again: ["Until which day?"]
    must:
      - be: value.weekday != "sunday"
        or_say: We're closed on Sundays.
  - confirm: [day]
    prompt: Until {day}, then?
    again: ["Is {day} right?"]
    no:
      - clear: [day]
      - go_to: ask_day
  - call: books.renew
    with: {member: member, day: day}
    save: [due]
    filler: One moment.
  - reached: renew_books
  - say: It's yours until {due}.
""",
    "who.yaml": """\
flow: who
outcomes: [ok, unknown]
unless: member
slots:
  child: yes_no
steps:
  - ask: member
    prompt: What's your number?
    again: ["Your number?"]
  - ask: child
    prompt: Is it a child's card?
    again: ["A child's card?"]
    keys: Press 1 for yes, 2 for no.
  - if: child
    then:
      - clear: [member, child]
      - say: That needs a parent's number.
      - go_to: ask_member
        at_most: 2
        otherwise:
          - done: unknown
  - done: ok
""",
    "person.yaml": """\
flow: person
title: a person
replaces: yes
intents:
  person:
    - a person please
    - can i talk to somebody
    - get me a librarian
    - a human please
    - i want to speak with someone
steps:
  - person: asked
  - say: I've noted that. Goodbye.
  - end: person
""",
    "sorry.yaml": """\
flow: sorry
steps:
  - say: I'm sorry. Goodbye.
  - end: not_understood
""",
    "down.yaml": """\
flow: down
steps:
  - say: Our system is down.
""",
}


#: How its operations are carried out, for tests that have a server's eyes on them.
SYSTEMS = """\
systems:
  - name: shelves
    http: https://shelves.example
    operations:
      books.due: {get: "/members/{member}/due"}
      books.renew: {post: "/members/{member}/renewals", body: {day: day}}
"""


def write_bot(directory: Path) -> Path:
    """Write the whole bot into a folder and return it."""
    files = {"bot.yaml": BOT, **FLOWS}
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return directory
