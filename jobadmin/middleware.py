"""A content policy: nothing inline, nothing from elsewhere. For a whole project, or for the pages of the dashboard alone.

The pages keep it wherever they stand, and do not send it by themselves: they stand in the frame of the project's admin, and a theme with an
inline script, or with a style from elsewhere, would be broken on them and nowhere else. Nor could a view tell whether the project has a
policy of its own, which its middleware adds later, and leaves out where an answer has one."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

#: Scripts, styles, images and requests from this site alone; nobody may frame it.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)


class ContentPolicyMiddleware:
    """Sends the content policy with every answer that does not bring its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
        return response


class PagesContentPolicyMiddleware(ContentPolicyMiddleware):
    """Sends it with the pages of the dashboard alone, unless they have one. Stands first, so that one of the project's counts."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        found = getattr(request, "resolver_match", None)
        if found is not None and "jobadmin" in found.app_names:
            response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
        return response
