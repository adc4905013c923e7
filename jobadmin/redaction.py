"""Hides secrets in what jobs carry: arguments, data, errors, outputs, messages.

Two ways to be a secret: the value of a key that sounds like one (``db_password``, ``X-Api-Key``), however deep, and a stretch
of text that looks like one (``token=…``, ``Bearer …``, ``https://user:password@host``, a private key). Recognition is on
the safe side: a harmless value hidden costs a look elsewhere, a secret shown cannot be taken back.

Pure functions over JSON values; no store, no request. Text is read in one pass a pattern, each with bounded repeats, so
hostile input costs no more than its length.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

#: What stands in a secret's place.
MASK = "[redacted]"

#: Words that make a key a secret when they are one of its words (``userPassword``, ``SECRET_KEY``, ``x-auth-token``).
SECRET_WORDS = frozenset({
    "password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "key", "apikey", "authorization", "authentication", "auth",
    "cookie", "credential", "credentials", "cred", "creds", "otp", "pin", "csrf", "csrftoken", "sessionid", "jwt", "bearer", "cvv", "cvc",
})  # fmt: skip

#: Words that make ``key`` harmless when they stand before it: a primary key opens nothing.
HARMLESS_KEYS = frozenset({
    "primary", "foreign", "sort", "cache", "public", "partition", "natural", "row", "group", "lookup", "index", "dict", "object", "routing",
    "idempotency", "message", "map",
})  # fmt: skip

#: Words whose numbers are counts rather than secrets: ``max_tokens``.
COUNTED = frozenset({"tokens", "keys", "cookies", "pins"})

#: Deepest nesting that is walked; what lies below is hidden whole.
MAX_DEPTH = 60

#: Characters of one text that are looked at; the rest is dropped with a remark, for a secret may be cut in two.
MAX_TEXT = 1_000_000

_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

#: The words that count inside running text, where ``pin`` or ``auth`` alone would hide half of it.
_TEXT_WORDS = (
    r"passw(?:or)?d|passphrase|passcode|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|"
    r"auth[_-]?key|credentials?|csrftoken|sessionid|client[_-]?secret"
)
#: A value in any of its spellings: quoted, quoted inside a quoted text, a list, a mapping, a bare word.
_VALUE = (
    r"""(?:\\"(?:[^"\\]|\\[^"]){0,4000}(?:\\")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
    r"""|\[[^\]]{0,4000}\]?|\{[^}]{0,4000}\}?|[^\s,;&<>"')}\]]+)"""
)

#: A word that assigns a secret, up to where its value begins.
_ASSIGNED = rf"""((?:{_TEXT_WORDS})[\w-]{{0,40}}\\?["']?\s{{0,4}}[:=](?!=)\s{{0,4}}+)"""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


#: Characters of a key that are looked at, and that are kept in mind.
MAX_KEY = 400
#: Pattern and replacement, in the order they are applied: wide ones first.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL), rf"\1{MASK}\2"),
    (_pattern(r"""(\b(?:proxy-)?authorization["']?\s{0,4}[:=]\s{0,4}+["']?+)(?!\[redacted)[^\r\n"',}]+"""), rf"\1{MASK}"),
    (_pattern(r"""(\b(?:set-)?cookie["']?\s{0,4}:\s{0,4}+["']?+)(?!\[redacted)[^\r\n"']+"""), rf"\1{MASK}"),
    (_pattern(r"(://[^\s/:@\"'<>]{0,256}):[^\s/\"'<>]{1,1024}@"), rf"\1:{MASK}@"),
    (_pattern(r"(://)[^\s/:@\"'<>]{16,1024}@"), rf"\1{MASK}@"),
    # A text that was cut in the middle of an address: what would have stood before the @. A port is no secret.
    (_pattern(r"(://[^\s/:@\"'<>\[]{0,256}):(?!\d{1,5}…?\Z|\[redacted)[^\s/\"'<>@]{3,1024}\Z"), rf"\1:{MASK}"),
    (_pattern(_ASSIGNED + rf"""(?!["']?\[redacted)(?:None\b|null\b|{_VALUE})"""), rf"\1{MASK}"),
    (_pattern(rf"([?&](?:key|auth|sig|code)=)(?!\[redacted){_VALUE}"), rf"\1{MASK}"),
    (_pattern(r"\b(bearer)\s{1,4}[A-Za-z0-9._~+/-]{8,}=*"), rf"\1 {MASK}"),
    (_pattern(r"\b(basic)\s{1,4}[A-Za-z0-9+/]{6,}={1,2}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[\w-]{16,}(?:\.[\w-]*)*"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-|sk[-_](?:live_|test_|proj-)?|rk_live_|xox[abeprs]-)[\w-]{16,}"), MASK),
)


#: One of these stands in whatever a pattern finds. Most texts hold none, and are done after this one pass.
_MAY_HOLD = _pattern(
    rf"{_TEXT_WORDS}|authorization|cookie|private key|://|[?&](?:key|auth|sig|code)=|bearer|basic|eyJ|AKIA|ASIA|"
    r"gh[opsur]_|github_pat_|glpat-|sk[-_]|rk_live_|xox[abeprs]-"
)


#: One of these, too, in small letters: looked for as they are they take a tenth of the time, and hardly any text goes further.
_HINTS = (
    "passw", "passphrase", "passcode", "pwd", "secret", "token", "key", "credential", "sessionid", "authorization", "cookie", "://",
    "auth=", "sig=", "code=", "bearer", "basic", "eyj", "akia", "asia", "gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-",
    "sk-", "sk_", "rk_live_", "xox",
)  # fmt: skip


def _may_hold(text: str) -> bool:
    if text.isascii():  # others have letters that only a pattern takes for these: a long s, the sign of Kelvin
        small = text.lower()
        for hint in _HINTS:  # as a loop: a generator for `any` would take as long as all of the comparisons
            if hint in small:
                break
        else:
            return False
    return _MAY_HOLD.search(text) is not None


class Redactor:
    """Hides secrets by a set of words; more words come from the project's setting."""

    def __init__(self, more_words: Iterable[str] = ()) -> None:
        self.words = SECRET_WORDS | {word.lower() for word in more_words}
        self._phrases = tuple(sorted(_squeeze(word) for word in more_words if _squeeze(word)))
        # The same few names stand in the arguments of every job.
        self._is_secret = lru_cache(maxsize=4096)(self.is_secret)
        self._key = lru_cache(maxsize=4096)(self.text)

    def value(self, value: Any, _depth: int = 0) -> Any:
        """The same JSON value with every secret replaced by MASK; what came in is never changed."""
        if isinstance(value, str):
            return self.text(value)
        if _depth > MAX_DEPTH and isinstance(value, dict | list | tuple):
            return MASK
        if isinstance(value, dict):
            return {self._shown_key(str(key)): self._of_key(str(key), item, _depth) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, _depth + 1) for item in value]
        return value

    def _shown_key(self, key: str) -> str:
        return self._key(key) if len(key) < MAX_KEY else self.text(key)

    def text(self, text: str) -> str:
        """Running text with whatever looks like a secret replaced by MASK."""
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT] + f"… ({len(text) - MAX_TEXT} more characters)"
        if not _may_hold(text):
            return text
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def is_secret(self, key: str) -> bool:
        """Whether a key sounds like one whose value is nobody's business."""
        words = _words(key)
        if any(phrase in _squeeze(key[:MAX_KEY]) for phrase in self._phrases):
            return True
        return any(self._is_secret_word(word, words[:place]) for place, word in enumerate(words))

    def _is_secret_word(self, word: str, before: list[str]) -> bool:
        if word in ("key", "keys"):
            return not (before and before[-1] in HARMLESS_KEYS) and (word == "key" or bool(before))
        if word in self.words or (word.endswith("s") and word[:-1] in self.words):
            return True
        return any(core in word for core in ("password", "passwd", "secret", "apikey"))

    def _of_key(self, key: str, item: Any, depth: int) -> Any:
        if item is None or isinstance(item, bool) or item in ("", [], {}):
            return item
        if not self._is_secret(key[:MAX_KEY]):
            return self.value(item, depth + 1)
        counted = isinstance(item, int | float) and any(word in COUNTED for word in _words(key))
        return item if counted else MASK


def _words(key: str) -> list[str]:
    return [word.lower() for word in _SPLIT.split(key[:MAX_KEY]) if word]


def _squeeze(text: str) -> str:
    """Letters and digits alone, lower case: how a word of the setting is compared with a key."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def redact(value: Any) -> Any:
    """``Redactor.value`` through the host project's resolver."""
    from jobadmin.resolver import resolver

    return resolver().redact(value)


def redact_text(text: str) -> str:
    """``Redactor.text`` through the host project's resolver."""
    from jobadmin.resolver import resolver

    return resolver().redact_text(text)
