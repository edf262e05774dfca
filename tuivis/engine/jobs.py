"""The jobs of an engine: which is at work, which wait, which are paused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuivis.engine.commands import Cancel, Pause, Unpause
from tuivis.engine.events import JobEnded, JobPaused
from tuivis.engine.protocol import JobEvent
from tuivis.errors import UserError

if TYPE_CHECKING:
    from tuivis.engine.optimise.job import Job


class Jobs:
    """Jobs in the order in which they came; the first that is not paused is at work."""

    def __init__(self) -> None:
        self._jobs: dict[int, tuple[Job, Iterator[JobEvent]]] = {}
        self._paused: set[int] = set()

    def __len__(self) -> int:
        """Return how many there are, paused ones included."""
        return len(self._jobs)

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return any(number not in self._paused for number in self._jobs)

    def add(self, job: Job) -> None:
        """Queue a job.

        Raises
        ------
        UserError
            If one with its number is there already.
        """
        if job.command.job in self._jobs:
            raise UserError(f"job {job.command.job} is there already: cancel it first")
        self._jobs[job.command.job] = job, job.run()

    def advance(self) -> JobEvent | None:
        """Let the job at work go on until something happens; return that.

        A step of a job always yields within a tenth of a second or one step of the network, whichever is longer.
        """
        number = next(number for number in self._jobs if number not in self._paused)
        try:
            return next(self._jobs[number][1])
        except StopIteration:
            del self._jobs[number]
            return JobEnded(number, "done")
        except UserError as error:
            del self._jobs[number]
            return JobEnded(number, "failed", str(error))

    def save(self) -> None:
        """Save how far the job at work is; the others have been saved, or have not begun."""
        for job, _ in self._jobs.values():
            job.save()

    def fail(self, message: str) -> JobEnded:
        """End the job at work because of an error that is not the user's."""
        number = next(number for number in self._jobs if number not in self._paused)
        del self._jobs[number]
        return JobEnded(number, "failed", message)

    def obey(self, command: Pause | Unpause | Cancel) -> JobEvent:
        """Carry out a command that concerns one job.

        Raises
        ------
        UserError
            If there is no such job.
        """
        if command.job not in self._jobs:
            raise UserError(f"there is no job {command.job}")
        job, _ = self._jobs[command.job]
        match command:
            case Pause():
                job.save()
                self._paused.add(command.job)
                return JobPaused(command.job, True)
            case Unpause():
                self._paused.discard(command.job)
                return JobPaused(command.job, False)
        job.cancel()
        del self._jobs[command.job]
        self._paused.discard(command.job)
        return JobEnded(command.job, "cancelled")
