"""Networks: families of ours, the user's own module, weights, analysis and surgery.

The names that other packages use are gathered here; each stands in a file of its own.
"""

from instar.models import analyse, build, grow, predict, project, recipes, surgery, weights

__all__ = ["analyse", "build", "grow", "predict", "project", "recipes", "surgery", "weights"]
