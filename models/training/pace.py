"""How many threads to compute with on a machine that others use too.

With another process on one of two cores, two threads wait for each other and are slower than one.
Nobody tells when that happens, so now and then the other number is tried for a few steps and kept
if it was clearly faster.
"""

import torch

TRY_EVERY = 60
TRY_FOR = 5
CLEARLY = 1.08


class Pace:
    """Picks the number of threads from 1..limit by trying; ``report`` after every step."""

    def __init__(self, limit: int) -> None:
        self.choices = sorted({1, limit})
        self.chosen = limit
        self.trying = False
        self._steps, self._pixels, self._seconds, self._usual = 0, 0, 0.0, 0.0
        torch.set_num_threads(limit)

    def report(self, pixels: int, seconds: float) -> None:
        """Tell what the last step worked through and how long it took."""
        self._steps += 1
        self._pixels += pixels
        self._seconds += seconds
        if len(self.choices) < 2 or self._steps < (TRY_FOR if self.trying else TRY_EVERY):
            return
        rate = self._pixels / self._seconds
        other = next(choice for choice in self.choices if choice != self.chosen)
        if not self.trying:
            torch.set_num_threads(other)
            self._usual = rate
        elif rate > self._usual * CLEARLY:
            self.chosen = other
        else:
            torch.set_num_threads(self.chosen)
        self.trying = not self.trying
        self._steps, self._pixels, self._seconds = 0, 0, 0.0
