"""Is this Mac, this Python and this installation what its user thinks it is?

``gather.read`` asks the system and keeps its answers as text, ``facts.parse`` makes facts of
them, and each check is a pure function of the facts: so a check is tested with the text of any
machine on any other. One file per topic holds the checks; ``registry`` lists them.
"""

from __future__ import annotations


class DoctorWarning(UserWarning):
    """A check of the doctor found something that costs speed or trust, and breaks nothing."""
