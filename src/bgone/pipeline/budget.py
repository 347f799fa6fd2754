"""The memory that orders may hold together: what does not fit is refused at once, nothing waits for memory."""

from __future__ import annotations

from bgone.errors import overloaded


class Budget:
    """Bytes promised to orders; event loop only.

    Args:
        limit_bytes: Most bytes promised at one time.

    Attributes:
        held_bytes: Bytes promised now.
        peak_bytes: The most that ever were.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.peak_bytes = 0

    def open(self, retry_after_s: int = 1) -> Holding:
        """A new, empty holding."""
        return Holding(self, retry_after_s)


class Holding:
    """What one order holds; grows while the order becomes known, and is given back whole."""

    def __init__(self, budget: Budget, retry_after_s: int) -> None:
        self._budget = budget
        self._retry_after_s = retry_after_s
        self.held_bytes = 0

    def grow(self, more_bytes: int) -> None:
        """Hold ``more_bytes`` more.

        Raises:
            overloaded: They do not fit. An order alone always fits: one too large for the budget runs by itself.
        """
        budget = self._budget
        alone = budget.held_bytes == self.held_bytes
        if not alone and budget.held_bytes + more_bytes > budget.limit_bytes:
            why = f"memory: {budget.held_bytes} of {budget.limit_bytes} bytes held, {more_bytes} asked"
            raise overloaded(self._retry_after_s, why)
        self.held_bytes += more_bytes
        budget.held_bytes += more_bytes
        budget.peak_bytes = max(budget.peak_bytes, budget.held_bytes)

    def release(self) -> None:
        """Give everything back; twice does no harm."""
        self._budget.held_bytes -= self.held_bytes
        self.held_bytes = 0
