"""Closed-form and convex methods: NumPy, SciPy and scikit-learn, float64 inside."""
