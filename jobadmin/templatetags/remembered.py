"""Parts of a page that are made once for the same values."""

from __future__ import annotations

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.template.defaulttags import CsrfTokenNode

from jobadmin.remembered import piece

register = template.Library()

#: Stands for the token of a form, which is another one in each answer.
_TOKEN = "\x01token\x01"


class Remembered(template.Node):
    """Its inside, made once for the same values; anew where one of them is None, or not there."""

    def __init__(self, nodelist: NodeList, values: list[FilterExpression]) -> None:
        self.nodelist, self.values = nodelist, values
        self.has_token = bool(nodelist.get_nodes_by_type(CsrfTokenNode))

    def render(self, context: template.Context) -> str:
        values = tuple([value.resolve(context, ignore_failures=True) for value in self.values])
        if any(value is None for value in values):
            return self.inside(context)
        if not self.has_token:
            return piece(self, values, lambda: self.inside(context))
        token = str(context.get("csrf_token"))
        found = piece(self, values, lambda: self.inside(context).replace(token, _TOKEN))
        return found.replace(_TOKEN, token)

    def inside(self, context: template.Context) -> str:
        """What stands within, made now."""
        return self.nodelist.render(context)


@register.tag
def remember(parser: Parser, token: Token) -> Remembered:
    """``{% remember tile view %}…{% endremember %}``: everything that the inside is made from, as values that can be compared."""
    values = [parser.compile_filter(bit) for bit in token.split_contents()[1:]]
    nodelist = parser.parse(("endremember",))
    parser.delete_first_token()
    return Remembered(nodelist, values)
