"""Where content lives: one abstraction, a file for each kind."""
