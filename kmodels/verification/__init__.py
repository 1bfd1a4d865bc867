"""Published numbers computed again: from committed predictions, and from kept weights."""
