"""Commands of the demo project: not part of the app, whose `test` would hide that of the project it is added to."""
