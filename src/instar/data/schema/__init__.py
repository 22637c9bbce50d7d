"""What columns there are: learnt once from the champion's rows, held against every fresh row."""

from instar.data.schema.conform import conform
from instar.data.schema.infer import complete_task, infer_schema, infer_task, revise

__all__ = ["complete_task", "conform", "infer_schema", "infer_task", "revise"]
