"""Reads what other systems recorded, and publishes it as lesson events."""
