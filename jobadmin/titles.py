"""The name of a job as a person would say it."""

import re

from django.utils.translation import gettext as _

#: What parts a name from the modules before it.
_MODULES = re.compile(r"[.:/\\]+")
#: What parts its words: anything that is written between them, and a capital after a small letter.
_WORDS = re.compile(r"[_\-\s]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def titled(name: str) -> str:
    """``shop.tasks.send_invoice`` -> ``Send invoice``, ``PDFReport`` -> ``PDF report``; ``Job`` for one without a name."""
    parts = [part for part in _MODULES.split(name) if part.strip("_-. ")]
    words = [word for word in _WORDS.split(parts[-1]) if word] if parts else []
    if not words:
        return name or _("Job")
    first, *rest = words
    return " ".join([first[:1].upper() + first[1:], *(word if word.isupper() else word[:1].lower() + word[1:] for word in rest)])
