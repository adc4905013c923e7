"""Dashboard for background jobs, inside Django's admin."""
