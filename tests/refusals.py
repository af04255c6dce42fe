"""What refusals are tested with."""

from pathlib import Path

import pytest

from errors import UserError


def refused(function, *arguments, **options):
    """Return the one line with which a call is refused."""
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Trap:
    """Touches a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)
