"""What a user can do wrong, said in one sentence."""

from __future__ import annotations

import difflib
import os
import signal
import sys
from collections.abc import Callable, Iterable


class UsageError(ValueError):
    """A user's mistake: the message says what is wrong, what was expected and what to do; the launcher exits with 2."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The end of an error sentence: the nearest right name, else all of them.

    Example:
        >>> nearest("dcgna", ["dcgan", "vae"])
        "did you mean 'dcgan'?"
    """
    options = sorted(options)
    small = {option.lower(): option for option in options}
    close = difflib.get_close_matches(name.lower(), small, n=1, cutoff=0.6)
    if close:
        return f"did you mean {small[close[0]]!r}?"
    return "expected one of: " + ", ".join(options) + "." if options else "there is none."


def run_module(main: Callable[[list[str]], int | None], words: list[str] | None = None) -> int:
    """Does what the words after `python -m MODULE` say; what goes wrong becomes one sentence.

    Args:
        main: takes the words; may return an exit code.
        words: instead of those of this process.

    Returns:
        The exit code: that of `main`, 2 for a user's mistake, 1 where a disk fails, 130 for Ctrl-C, 141 where nobody
        reads on (`| head`).
    """
    try:
        try:
            return main(sys.argv[1:] if words is None else words) or 0
        finally:
            sys.stdout.flush()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        print(f"error: {of_system(error)}", file=sys.stderr)
        _drop_output()
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def of_system(error: OSError) -> str:
    """The sentence for what the system refuses; of a write that fails it does not say where."""
    return f"{error.filename or 'a file or the output'}: {error.strerror or error}."


def _drop_output() -> None:
    """Of what cannot be written; the interpreter would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
