"""The project as a WSGI application, for gunicorn and its like."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobadmin.settings")
application = get_wsgi_application()

from jobadmin.warming import warm  # noqa: E402  (needs the application)

warm()
