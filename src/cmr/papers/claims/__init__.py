"""What the papers say in words, each sentence tested on their own numbers, on ours, or on both."""
