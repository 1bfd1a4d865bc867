"""Which runs are missing, how long they will take, and having them trained: here, in parts, or by Ray."""
