"""The pages: read the parameters, ask, render."""
