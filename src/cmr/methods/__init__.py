"""Methods that learn a common space from an image view and a text view."""

FLOOR = "random"  # the method, in config/methods, whose scores are those of a random ranking
