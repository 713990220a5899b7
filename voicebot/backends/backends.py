"""Runs operations of the customer's systems by name, held to what the bot's files declare about them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import structlog

from voicebot.dialog.condition import holds
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation
from voicebot.errors import BackendUnavailable, LocalProtocolError, VoicebotError

log = structlog.get_logger(__name__)

#: Limits compare arguments, never days with today.
_NO_DAY = date.min


@dataclass(frozen=True, slots=True)
class BackendResult:
    """What an operation answered: `outcome` is ``"ok"`` or a failure it names, `result` its typed values."""

    outcome: str
    result: Mapping[str, SlotValue | None] = field(default_factory=dict)


class System(Protocol):
    """One system that operations run on. It may take its time; `Backends` sets the deadline."""

    @property
    def operations(self) -> frozenset[str]: ...

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        """Carry it out; `BackendUnavailable` when the system cannot be reached. One key writes once, ever."""
        ...

    async def close(self) -> None: ...


class Backends:
    """All systems behind the bot. `contracts` are the bot's operations; each is carried out by one of `systems`."""

    def __init__(self, systems: tuple[System, ...], contracts: Mapping[str, Operation], *, timeout_s: float) -> None:
        """Take the systems over, to be closed with this; `LocalProtocolError` when nobody does an operation."""
        self._contracts = contracts
        self._systems = systems
        self._timeout_s = timeout_s
        self._by_operation = {name: system for system in systems for name in system.operations}
        missing = sorted(contracts.keys() - self._by_operation.keys())
        if missing:
            raise LocalProtocolError(f"No system carries out {', '.join(missing)}.")

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> BackendResult:
        """Run `operation` and return its typed result.

        A repeated call with the same `idempotency_key` returns the first result and writes nothing again.
        `BackendUnavailable` when the system does not answer within the deadline or not as declared;
        `LocalProtocolError` when our own side breaks the contract.
        """
        contract = self._contracts.get(operation)
        if contract is None:
            raise LocalProtocolError(f"The operation '{operation}' is not declared.")
        _check_arguments(contract, arguments, idempotency_key)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._by_operation[operation].call(operation, arguments, idempotency_key=idempotency_key)
        except TimeoutError as error:
            raise BackendUnavailable(f"'{operation}' did not answer within {self._timeout_s:g} s.") from error
        except VoicebotError:
            raise
        except Exception as error:  # whatever a system breaks down with, somebody waits on the line for an answer
            log.exception("a system broke down", operation=operation)
            raise BackendUnavailable(f"'{operation}' broke down ({type(error).__name__}).") from error
        _check_answer(contract, answer)
        log.debug("operation answered", operation=operation, outcome=answer.outcome)
        return answer

    async def close(self) -> None:
        for system in self._systems:
            await system.close()


def _check_arguments(contract: Operation, arguments: Mapping[str, SlotValue], key: str | None) -> None:
    if arguments.keys() != contract.arguments.keys():
        raise LocalProtocolError(f"'{contract.name}' takes {', '.join(contract.arguments) or 'nothing'}.")
    for name, kind in contract.arguments.items():
        if not kind.accepts(arguments[name]):
            raise LocalProtocolError(f"'{name}' of '{contract.name}' must be {kind}.")
    if contract.person_when and holds(contract.person_when, arguments.get, _NO_DAY):
        # The dialog hands these over; should it ever fail to, the money stays where it is all the same.
        raise BackendUnavailable(f"'{contract.name}' is a person's to decide with these arguments.")
    if contract.write and not key:
        raise LocalProtocolError(f"'{contract.name}' writes and needs an idempotency key.")


def _check_answer(contract: Operation, answer: BackendResult) -> None:
    if answer.outcome != "ok" and answer.outcome not in contract.failures:
        raise BackendUnavailable(f"'{contract.name}' answered with an outcome it does not declare.")
    for name, value in answer.result.items():
        kind = contract.results.get(name)
        if kind is None or (value is not None and not kind.accepts(value)):
            raise BackendUnavailable(f"'{contract.name}' gave '{name}', which is not as declared.")
