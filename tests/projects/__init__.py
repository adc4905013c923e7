"""Projects as one finds them, one per engine: the same work, none of it knowing of tracking."""
