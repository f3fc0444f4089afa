"""Image-text pairs with labels, normalised to one form whatever their source, and their splits."""
