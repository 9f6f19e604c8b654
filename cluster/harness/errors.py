"""What can go wrong here, as sentences for a person at a terminal.

HarnessError
├── PrerequisiteError   the machine lacks something; nothing was started
├── CommandError        a program that was run to its end failed
├── PartError           a part of the cluster ended, or did not become ready in time
└── ApiError            the API server answered with a failure
"""


class HarnessError(Exception):
    """The message is complete: the command line prints it as it is, without a traceback."""


class PrerequisiteError(HarnessError):
    """The machine lacks something that the message names, and nothing was started."""


class CommandError(HarnessError):
    """A program that was run to its end failed; the message holds the command and what it printed last."""


class PartError(HarnessError):
    """A part of the cluster ended or did not become ready; the message holds the tail of its log."""


class ApiError(HarnessError):
    """The API server answered with a failure.

    Attributes:
        status: the HTTP status code.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
