"""Writes progress and lesson facts to files, for whoever analyses them or moves to another system."""
