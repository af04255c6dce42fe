"""The one exception for a user's mistake, the wording that its messages share, and what becomes of it in a script."""

import difflib
import math
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterable


class UserError(Exception):
    """A mistake in a config, a path or the data; its text is one line and the scripts end with exit code 2."""

    def __init__(self, message: str):
        super().__init__(printable(" ".join(message.splitlines())))


def printable(text: str) -> str:
    """Return a text with escapes for what cannot be shown or stored: control characters and bytes that are no UTF-8.

    File and folder names may hold both; with escapes every terminal, figure and file takes them.
    """
    return "".join(character.encode("unicode_escape").decode()
                   if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") else character for character in text)


def shortened(text: str) -> str:
    """Return a text as messages show it: whole, or the beginning of one that no line would hold."""
    return text if len(text) <= 300 else text[:300] + "..."


def reason(error: Exception) -> str:
    """Return what went wrong, in a few words: of what the system refuses neither its number nor the path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def check_range(what: str, found: float | None, least: float, most: float = math.inf) -> None:
    """Raise UserError for a number outside of a range; None stands for one that is not given."""
    if found is not None and not least <= found <= most:
        raise UserError(f"{what}: found {found}; allowed: {least} {'or more' if most == math.inf else f'to {most}'}")


def choice_error(what: str, found: object, allowed: Iterable[object]) -> UserError:
    """Build the error for `found` not being among `allowed`: what it is, what is allowed, and the nearest match."""
    names, found = [str(name) for name in allowed], shortened(str(found))
    known, hint = f"allowed: {', '.join(names) or 'nothing'}", nearest(found, names)
    # Behind many names nobody would look for it.
    told = f"{hint} {known}" if hint and len(known) > 300 else "; ".join(filter(None, (known, hint)))
    return UserError(f"{what}: '{found}' is not known; {told}")


def nearest(found: str, names: list[str]) -> str:
    """Return a question that shows which of some names is meant, or nothing where none is near."""
    close = difflib.get_close_matches(found, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else ""


def run_script(main: Callable[[], None]) -> None:
    """Run a script's main function; a user's mistake becomes one line on stderr and exit code 2.

    Arguments that are no UTF-8 are refused, as config and records could not hold them.
    """
    # A polite kill unwinds like Ctrl-C, so that child processes are ended and temporary files removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # As stderr does: a path below a folder whose name is no UTF-8 can be printed.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for argument in sys.argv[1:]:
            if argument.encode(errors="ignore") != argument.encode(errors="surrogateescape"):
                raise UserError(f"{argument}: arguments have to be UTF-8; rename the file or folder")
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
