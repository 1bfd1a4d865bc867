"""From a recipe, a seed and a data set to one run."""
