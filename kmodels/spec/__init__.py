"""What is asked for, as plain frozen values: recipes, experiments, rows, claims, and the runs they come to."""
