"""The sealed bundle: its format, and the runtime that serves and judges it. No torch."""
