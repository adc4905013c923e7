"""Characters that turn the direction of the text around them, shown as what they are.

A job's name that holds one of them would be read backwards, and with it what stands beside it: the count, the state, the button.
They are taken out where a page or a line is written, once for everything that it says; values that are sent back, addresses and
files stay as they are.
"""

from __future__ import annotations

import re

#: Embeddings, overrides and isolates, and what ends them.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
#: The same in the bytes of a page: whether there is anything to do.
_TURNING_BYTES = re.compile(rb"\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])")
#: What moves the cursor of a terminal, colours it, or ends its line early; a tab and the end of a line are none.
_MOVING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: A page in its pieces: a field of text, which is sent back and copied, a tag, and what stands between tags.
_PIECE = re.compile(r"""<textarea\b.*?</textarea>|<[a-z/!](?:"[^"]*"|'[^']*'|[^'">])*>|[^<]+|<""", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE = re.compile(r"""(\s)([\w:-]+)=("[^"]*"|'[^']*')""")
#: Attributes that are read out or shown; all others are values.
_SAID = frozenset({"title", "aria-label", "aria-description", "alt", "placeholder", "label"})


def shown(text: str) -> str:
    """``a\\u202eb`` -> ``a⟨U+202E⟩b``: nothing in it turns what stands around it."""
    return _TURNING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def shown_in_page(content: bytes) -> bytes:
    """A page of HTML, in UTF-8, in which no text and no words of an attribute turn anything."""
    if _TURNING_BYTES.search(content) is None:
        return content
    return _PIECE.sub(lambda piece: _piece(piece[0]), content.decode()).encode()


def shown_in_terminal(text: str) -> str:
    """`text` for a terminal: what would move its cursor is written as Python writes it."""
    return shown(_MOVING.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n")))


def _piece(piece: str) -> str:
    if not piece.startswith("<"):
        return shown(piece)
    if piece[:9].lower() == "<textarea":
        return piece
    return _ATTRIBUTE.sub(lambda found: shown(found[0]) if found[2].lower() in _SAID else found[0], piece)
