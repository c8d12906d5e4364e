"""What made the numbers of a run: precision, kind of machine, version."""

from __future__ import annotations

import re
from typing import NamedTuple

from foundations.errors import one_line


class Made(NamedTuple):
    """What must be alike for the numbers of two runs to be averaged without a word; "unknown" where
    not recorded.

    machine: its kind, the processor or GPU that trained, without what a name says beside the model.
    """

    precision: str
    machine: str
    version: str

    @staticmethod
    def of(precision: object, device: object, version: object) -> Made:
        """From what a run's result says of each; nothing is "unknown"."""
        precision, device, version = (
            one_line(value or "unknown") for value in (precision, device, version)
        )
        # "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz": the clock is no other kind.
        model = re.sub(r"\((R|TM|C)\)|\bCPU @.*", "", device)
        return Made(precision, one_line(model) or device, version)

    def __str__(self) -> str:
        """`bf16 on AMD EPYC by version 0.2.0`."""
        return f"{self.precision} on {self.machine} by version {self.version}"
