"""What all scripts share on the command line: one line for a user's mistake, exit code 2."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from errors import UserError


def run_script(main: Callable[[], None]) -> None:
    """Run a script's main function; a user's mistake becomes one line on stderr and exit code 2."""
    # A polite kill unwinds like Ctrl-C, so that child processes are ended and temporary files removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) went away; Python would complain once more when it flushes stdout.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        # What no closer look has foreseen: a folder without access, a loop of links, a disk that fails.
        print(f"error: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)


def write_or_print(text: str, out: str | None) -> None:
    """Write a text to the file that --out names, or print it; UserError when the file cannot be written."""
    if out is None:
        print(text, end="")
        return
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}") from None
