"""What only the table of jobs needs: where a heading leads, and a row's name in the page."""

from django import template

from jobadmin import cells
from jobadmin.tables import JobTable

register = template.Library()


@register.simple_tag
def sort_url(table: JobTable, name: str) -> str:
    """``{% sort_url table column.name %}``: the list sorted by a column, or the other way round."""
    return table.sort_url(name)


@register.filter
def anchor(job_id: str) -> str:
    """``{{ job.id|anchor }}``: the id as part of an element's id."""
    return cells.anchor(job_id)
