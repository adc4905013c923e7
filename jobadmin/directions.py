"""Characters that nobody sees, or that turn the direction of the text around them, shown as what they are.

A job's name that holds one that turns would be read backwards, and with it what stands beside it: the count, the state, the
button. With one that has no width it looks like another name, and is another one. They are taken out where a page or a line is
written, once for everything that it says; values that are sent back, addresses and files stay as they are.

What holds an emoji together, or letters of a script that is joined, is writing, and stays.
"""

from __future__ import annotations

import re

from django.utils.translation import get_language_bidi

#: Embeddings, overrides and isolates, and what ends them; marks of direction.
_TURNING = "\u202a-\u202e\u2066-\u2069\u061c"
#: The marks that stand in dates and sentences of languages written from right to left.
_MARKS = "\u200e\u200f"
#: Blanks without width, joiners of words and of mathematics, what was withdrawn from Unicode, fillers, soft hyphens, separators of
#: lines that no page breaks at.
_UNSEEN = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e001f"
)
#: Before a joiner, and behind it: letters of scripts that are joined, and emoji, also with a colour of skin or drawn as such.
_JOINED = (
    "\u0620-\u06ff\u0750-\u077f\u0870-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff\u1800-\u180a\u1820-\u18af\ua840-\ua87f"
)
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23fa\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\ufe0f"
    "\U0001f000-\U0001faff"
)
#: Letters after which a selector selects nothing.
_PLAIN = '\\x00-"$-)+-/:-\u00a8'

_JOINER = f"(?<![{_JOINED}])\u200c|\u200c(?![{_JOINED}])|(?<![{_JOINED}{_EMOJI}])\u200d|\u200d(?![{_JOINED}{_EMOJI}])"
#: Selectors behind what has one form only. Letters of tags spell the flags of regions, behind a black one.
_REST = (
    f"(?<=[{_PLAIN}])[\ufe00-\ufe0f]|(?<![\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
    "|(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0020-\U000e007f]"
)

_SHOWN = re.compile(f"[{_TURNING}{_UNSEEN}{_MARKS}]|{_JOINER}|{_REST}")
#: The same where direction marks belong to the language of the page.
_SHOWN_BIDI = re.compile(f"[{_TURNING}{_UNSEEN}]|{_JOINER}|{_REST}")
#: In the bytes of a page: whether there may be anything to do.
_BYTES = re.compile(
    rb"\xe2(?:\x80[\x8b-\x8f\xa8-\xae]|\x81[\xa0-\xaf])|\xc2\xad|\xcd\x8f|\xd8\x9c|\xe1(?:\x85[\x9f\xa0]|\x9e[\xb4\xb5]|\xa0[\x8b-\x8f])"
    rb"|\xe3\x85\xa4|\xef(?:\xb8[\x80-\x8f]|\xbb\xbf|\xbe\xa0|\xbf[\xb9-\xbb])|\xf3\xa0"
)
#: What a page mostly consists of; without it the search takes a quarter of the time, and no other bytes come to stand together.
_ASCII = bytes(range(0x80))
#: What moves the cursor of a terminal, colours it, or ends its line early; a tab and the end of a line are none.
_MOVING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: A page in its pieces: a field of text, which is sent back and copied, a tag, and what stands between tags.
_PIECE = re.compile(r"""<textarea\b.*?</textarea>|<[a-z/!](?:"[^"]*"|'[^']*'|[^'">])*>|[^<]+|<""", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE = re.compile(r"""(\s)([\w:-]+)=("[^"]*"|'[^']*')""")
#: Attributes that are read out or shown; all others are values.
_SAID = frozenset({"title", "aria-label", "aria-description", "aria-valuetext", "alt", "placeholder", "label"})


def shown(text: str) -> str:
    """``a\\u202eb`` -> ``a⟨U+202E⟩b``: nothing in it turns what stands around it, and nothing is there that is not seen."""
    if text.isascii():
        return text
    unseen = _SHOWN_BIDI if get_language_bidi() else _SHOWN
    return unseen.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def shown_in_page(content: bytes) -> bytes:
    """A page of HTML, in UTF-8, in which no text and no words of an attribute turn or hide anything."""
    if _BYTES.search(content.translate(None, _ASCII)) is None:
        return content
    return _PIECE.sub(lambda piece: _piece(piece[0]), content.decode()).encode()


def shown_in_terminal(text: str) -> str:
    """`text` for a terminal: what would move its cursor is written as Python writes it."""
    return shown(_MOVING.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n")))


def _piece(piece: str) -> str:
    if piece.isascii():
        return piece
    if not piece.startswith("<"):
        return shown(piece)
    if piece[:9].lower() == "<textarea":
        return piece
    return _ATTRIBUTE.sub(lambda found: shown(found[0]) if found[2].lower() in _SAID else found[0], piece)
