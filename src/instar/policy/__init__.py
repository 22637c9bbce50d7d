"""The one reader of `instar.yaml`."""

from instar.policy.overrides import split_overrides
from instar.policy.project import Project, Setting, read, show

__all__ = ["Project", "Setting", "read", "show", "split_overrides"]
