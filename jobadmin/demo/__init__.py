"""The demo: its environment, its processes, and the jobs it runs."""
