"""Jobs that happen although the server dies in the middle: DBOS Transact on the database of the calls.

Only ids and names go into a job's tables, which hold pickled values that no redaction reaches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowHandleAsync, WorkflowStatus
from dbos import error as dbos_error
from sqlalchemy.engine import URL

from voicebot.errors import VoicebotError

log = structlog.get_logger(__name__)

#: Jobs begun by a version with other steps are not taken up by this one: raise it when a job's steps change.
STEPS_VERSION = "1"
_NAME = "voicebot"
_DRAIN_S = 5
#: DBOS hands every look into the database to a thread, and waits in none. Without a limit a server with much to do has
#: hundreds, and keeps them, at some three megabytes each.
_THREADS = 16


class WorkFailed(VoicebotError):
    """A step could not be done. The message names what failed, never with whose data: it is written down."""


class WorkRefused(WorkFailed):
    """A step that another try would not change."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A job for one subject, both named by ids alone."""

    job: str
    subject: str

    @property
    def id(self) -> str:
        return f"{self.job}:{self.subject}"


_Workflow = Callable[[str], Coroutine[Any, Any, None]]

#: Does one step for a subject and returns the errands that follow from it. It may be done more than once.
Work = Callable[[str], Awaitable[Sequence[Errand]]]


@dataclass(frozen=True, slots=True)
class Step:
    """`given_up` is told of a subject that was tried often enough, or refused; it may be told more than once."""

    name: str
    work: Work
    given_up: Callable[[str], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a step is tried, and how long after the first failure, `factor` times longer after each further one."""

    attempts: int = 10
    first_wait_s: float = 2.0
    factor: float = 2.0


class ErrandState(StrEnum):
    UNDER_WAY = "under_way"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ErrandReport:
    errand: Errand
    state: ErrandState


class DurableWork:
    """Begins errands, each at most once, and tells how they are."""

    def __init__(self, workflows: Mapping[str, _Workflow]) -> None:
        self._workflows = workflows

    async def begin(self, errand: Errand) -> None:
        """Begin an errand unless it was begun before; it is then done even if the server dies at once."""
        await _begin(self._workflows, errand)

    async def take_up(self, errand: Errand) -> None:
        """Begin an errand, or take it up again if it has failed; one that is under way or done is left alone."""
        found = await DBOS.list_workflows_async(workflow_ids=[errand.id], load_input=False, load_output=False)
        if not found:
            await self.begin(errand)
        elif _report(found[0]).state is ErrandState.FAILED:
            await self.again(errand)

    async def again(self, errand: Errand) -> None:
        """Take up a failed errand with the step that failed."""
        steps = await DBOS.list_workflow_steps_async(errand.id)
        failed = [step["function_id"] for step in steps if step["error"] is not None]
        await DBOS.rewind_workflow_async(errand.id, start_step=min(failed, default=None))

    async def known(self, errands: Sequence[Errand]) -> frozenset[str]:
        """Return which of `errands` were begun, by their ids."""
        if not errands:
            return frozenset()
        wanted = [errand.id for errand in errands]
        found = await DBOS.list_workflows_async(workflow_ids=wanted, load_input=False, load_output=False)
        return frozenset(status.workflow_id for status in found)

    async def failed(self, limit: int = 100) -> Sequence[ErrandReport]:
        """Return the errands that were given up, the latest first."""
        found = await DBOS.list_workflows_async(
            status=["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            limit=limit,
            sort_desc=True,
            load_input=False,
            load_output=False,
        )
        return [_report(status) for status in found]

    async def settled(self, errand: Errand) -> ErrandState:
        """Wait until an errand is done or given up."""
        handle: WorkflowHandleAsync[None] = await DBOS.retrieve_workflow_async(errand.id)
        try:
            await handle.get_result()
        except Exception:  # noqa: BLE001  # whatever a step raised comes out here; it was logged where it happened
            return ErrandState.FAILED
        return ErrandState.DONE


@asynccontextmanager
async def durable_work(
    url: URL, *, instance: str, jobs: Mapping[str, Sequence[Step]], patience: Patience | None = None
) -> AsyncIterator[DurableWork]:
    """Take up what was under way when the server called `instance` stopped, and begin new errands.

    `url` is the calls' database, already open. One at a time in a process, since DBOS is a single thing there.
    """
    config: DBOSConfig = {
        "name": _NAME,
        "system_database_url": _address(url),
        "executor_id": instance,
        "application_version": STEPS_VERSION,
        "log_level": "ERROR",
        "sys_db_pool_size": 4,
        "max_executor_threads": _THREADS,
    }
    DBOS(config=config)
    # Its own lines would put what a step raised beside our structured ones.
    logging.getLogger("dbos").handlers.clear()
    try:
        workflows: dict[str, _Workflow] = {}
        for name, steps in jobs.items():
            workflows[name] = _workflow(name, steps, patience or Patience(), workflows)
        # On this loop, so that what is taken up again runs on it too. Some ten milliseconds, before the first call.
        DBOS.launch()
        yield DurableWork(workflows)
    finally:
        # DBOS has put its own threads behind `asyncio.to_thread`, and ends them; others go on needing some meanwhile.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        await asyncio.to_thread(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=_DRAIN_S)


async def _begin(workflows: Mapping[str, _Workflow], errand: Errand) -> None:
    # An id that was used before is the same errand, which is not begun again.
    with SetWorkflowID(errand.id):
        await DBOS.start_workflow_async(workflows[errand.job], errand.subject)


def _workflow(name: str, steps: Sequence[Step], patience: Patience, workflows: Mapping[str, _Workflow]) -> _Workflow:
    """Register a job; `workflows` will hold all jobs by the time one runs."""

    async def run(subject: str) -> None:
        for step in steps:
            try:
                following = await DBOS.run_step_async(
                    {
                        "name": step.name,
                        "retries_allowed": True,
                        "max_attempts": patience.attempts,
                        "interval_seconds": patience.first_wait_s,
                        "backoff_rate": patience.factor,
                        "should_retry": _may_change,
                    },
                    _attempt,
                    step,
                    subject,
                )
            except (WorkFailed, dbos_error.DBOSMaxStepRetriesExceeded):
                if step.given_up is not None:
                    await step.given_up(subject)
                raise
            for job, about in following:
                await _begin(workflows, Errand(job, about))

    return DBOS.workflow(name=name)(run)


async def _attempt(step: Step, subject: str) -> list[tuple[str, str]]:
    """Do a step once; whatever it raises is passed on by its name alone, since it is written to the database."""
    try:
        return [(errand.job, errand.subject) for errand in await step.work(subject)]
    except WorkRefused as refused:
        log.error("work refused", step=step.name, subject=subject, reason=str(refused))
        raise
    except Exception as error:  # noqa: BLE001  # any step may fail in any way; it is logged and tried again
        log.warning("work failed for now", step=step.name, subject=subject, error=type(error).__name__)
        raise WorkFailed(f"{step.name}: {type(error).__name__}") from None


def _may_change(error: BaseException) -> bool:
    return not isinstance(error, WorkRefused)


def _address(url: URL) -> str:
    """Return the URL for DBOS, which connects with blocking drivers."""
    driver = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return url.set(drivername=driver).render_as_string(hide_password=False)


def _report(status: WorkflowStatus) -> ErrandReport:
    job, _, subject = status.workflow_id.partition(":")
    states = {"SUCCESS": ErrandState.DONE, "PENDING": ErrandState.UNDER_WAY, "ENQUEUED": ErrandState.UNDER_WAY}
    return ErrandReport(Errand(job, subject), states.get(status.status, ErrandState.FAILED))
