"""Renders the pages that a learner, an instructor and an operator see. docs/decisions/0022 says how."""
