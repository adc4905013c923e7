"""The demo's administrator, and the password that the next start prints again."""

import secrets

from .places import VAR

NAME = "admin"
#: Readable by this user alone.
PASSWORD_FILE = VAR / "admin-password"


def ensure() -> str:
    """Makes the administrator where there is none; the password to print.
    Somebody who changed it on the page knows it, and nobody else does."""
    from django.contrib.auth import get_user_model

    password = _kept_password()
    user, is_new = get_user_model().objects.get_or_create(username=NAME, defaults={"is_staff": True, "is_superuser": True})
    if is_new:
        user.set_password(password)
        user.save()
    return password if user.check_password(password) else "(the password you gave it)"


def _kept_password() -> str:
    if not PASSWORD_FILE.exists():
        PASSWORD_FILE.touch(mode=0o600)
        PASSWORD_FILE.write_text(secrets.token_urlsafe(9))
    return PASSWORD_FILE.read_text()
