"""What scripts that make tables share: the table goes to the terminal or to a file."""

from pathlib import Path

from errors import UserError
from files import write_out


def write_or_print(text: str, out: str | None) -> None:
    """Write a text to the file that --out names, or print it; UserError when the file cannot be written."""
    if out is None:
        print(text, end="")
        return
    try:
        write_out(Path(out), text)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}") from None
