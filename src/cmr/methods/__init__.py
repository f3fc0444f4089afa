"""Methods that learn a common space from an image view and a text view."""
