"""`manage.py demo` and `manage.py test`."""
