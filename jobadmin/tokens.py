r"""How one value of a filter is written in a URL: ``mail.send``, ``-mail.send`` (not), ``mail.*`` (prefix).

A ``\`` before a leading ``-``, before a leading ``\`` or before a final ``*`` takes that character as it is, so every
text can be asked for: ``Token.parse(str(Token(text))) == Token(text)``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """One value of a filter, understood."""

    value: str
    """The text itself, nothing escaped; for a prefix what stands before the ``*``."""
    negative: bool = False
    """True: jobs with this value are left out."""
    prefix: bool = False
    """True: every value that begins with the text is meant."""

    @classmethod
    def parse(cls, text: str, *, prefixes: bool = True) -> Token:
        """The token written as `text`; without `prefixes` a final ``*`` is an ordinary character."""
        negative = text.startswith("-")
        text = text[1:] if negative else text
        prefix = False
        if text.endswith("\\*"):
            text = text[:-2] + "*"
        elif prefixes and text.endswith("*"):
            text, prefix = text[:-1], True
        if text.startswith(("\\-", "\\\\")):
            text = text[1:]
        return cls(text, negative, prefix)

    def __str__(self) -> str:
        """The token as a URL carries it."""
        text = self.value
        if self.prefix:
            text += "*"
        elif text.endswith("*"):
            text = text[:-1] + "\\*"
        if self.value.startswith(("-", "\\")):
            text = "\\" + text
        return f"-{text}" if self.negative else text

    @property
    def words(self) -> str:
        """The value as a reader sees it in a chip, without the *not*."""
        return f"{self.value}*" if self.prefix else self.value
