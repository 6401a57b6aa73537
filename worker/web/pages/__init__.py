"""The pages: what a learner, an instructor and an operator see. docs/decisions/0022 says how they are made."""
