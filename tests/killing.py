"""Processes that are killed at a chosen one of their file operations, which no timing hits so surely."""

import multiprocessing
import os
import signal
import sys

OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def killed_at(number, folder, work):
    """Run `work()` in a fork that is killed before its operation `number` on a file in `folder`.

    Returns:
        Whether it was killed: False if it ended first.
    """

    def run():
        left = number

        def count(event, arguments):
            nonlocal left
            if event in OPERATIONS and str(folder) in str(arguments[0]):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0
