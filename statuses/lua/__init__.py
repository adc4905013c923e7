"""The scripts that change statuses: one file a move, shared parts by name from `shared/`."""
