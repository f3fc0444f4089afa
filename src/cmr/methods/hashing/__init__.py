"""Methods whose common space is binary codes, compared by Hamming distance."""
