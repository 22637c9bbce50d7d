"""What an error says that came of a lack of memory, whichever library says it."""

from __future__ import annotations

_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


def ran_out(error: BaseException) -> bool:
    """Tell whether an error says, or one that it came of, that memory ran out on some device.

    Example:
        >>> ran_out(MemoryError()), ran_out(ValueError("no such layer"))
        (True, False)
        >>> ran_out(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
        True
        >>> ran_out(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."))
        True
    """
    said = str(error).lower()
    if isinstance(error, MemoryError) or any(word in said for word in _WORDS):
        return True
    return error.__cause__ is not None and ran_out(error.__cause__)
