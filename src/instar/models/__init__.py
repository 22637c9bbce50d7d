"""Networks: building, weights, analysis, surgery."""
