"""What the runs say: scores, intervals, paired tests, and the verdict of every row and claim."""
