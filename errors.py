"""The one exception for a user's mistake, and the wording that all its messages share."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in a config, a path or the data; its text is one line and the scripts end with exit code 2."""

    def __init__(self, message: str):
        # File names may hold bytes that are no text; they are shown as escapes, so that every terminal takes them.
        printable = message.encode(errors="backslashreplace").decode()
        super().__init__(" ".join(printable.splitlines()))


def choice_error(what: str, found: object, allowed: Iterable[object]) -> UserError:
    """Build the error for `found` not being among `allowed`: what it is, what is allowed, and the nearest match."""
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(str(found), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return UserError(f"{what}: '{found}' is not known; allowed: {', '.join(names) or 'nothing'}{hint}")
