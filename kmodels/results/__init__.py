"""What came out: one file a run, its key, its predictions and weights, and which cell it belongs to."""
