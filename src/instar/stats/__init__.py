"""Pure maths on arrays, one statistic per file."""
