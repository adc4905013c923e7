"""The door of the API: who asks, whether they may, what they said, and the answer as JSON, whatever came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, cast

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from jobadmin import migrated
from jobadmin.api.calls import Answer, Asked, Call, Handler
from jobadmin.api.errors import KNOWN, Refused, forbidden, refusal
from jobadmin.api.fields import read_body, read_query
from jobadmin.frame import admin_site
from jobadmin.paths import in_one_place
from jobadmin.records import committed
from jobadmin.resolver import resolver
from jobadmin.viewing import of_request, viewed_by
from jobadmin.views.failures import not_migrated_words

#: Methods that change nothing.
_SAFE = ("GET", "HEAD", "OPTIONS")


def view_of(calls: Sequence[Call]) -> Callable[..., HttpResponseBase]:
    """The view of one address: the calls that it takes, by method."""
    by_method = {call.method: call for call in calls}
    return committed(login_not_required(csrf_exempt(partial(_answer, by_method))))


def _answer(by_method: dict[str, Call], request: HttpRequest, **path: Any) -> HttpResponseBase:
    with viewed_by(of_request(request)), in_one_place():
        try:
            response = _answered(by_method, request, path)
        except KNOWN as error:
            refused = refusal(error)
            response = as_json(Answer(refused.body, refused.status, refused.headers))
    response.headers.setdefault("Cache-Control", "no-store, private")
    response.headers["X-Content-Type-Options"] = "nosniff"
    patch_vary_headers(response, ("Cookie", "Accept-Language"))
    return response


def _answered(by_method: dict[str, Call], request: HttpRequest, path: dict[str, Any]) -> HttpResponseBase:
    allowed = ", ".join([*by_method, *(["HEAD"] if "GET" in by_method else []), "OPTIONS"])
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": allowed})
    _let_in(request)
    call = by_method.get("GET" if request.method == "HEAD" else request.method or "")
    if call is None:
        if not by_method:
            raise Refused(404, "not_found", "There is no such address in the API.")
        raise Refused(405, "method_not_allowed", f"{request.method} is not for this address, but {allowed}.", headers={"Allow": allowed})
    if request.method not in _SAFE and migrated.is_lacking():
        raise Refused(503, "not_migrated", not_migrated_words())
    asked = Asked(
        request=request,
        path=path,
        query=read_query(request.GET, call.query),
        body=read_body(request, call.body) if call.body is not None else {},
    )
    module, _, name = call.handler.partition(".")
    handler = cast(Handler, getattr(import_module(f"jobadmin.api.{module}"), name))
    answer = handler(asked)
    return as_json(answer) if isinstance(answer, Answer) else answer


def _let_in(request: HttpRequest) -> None:
    """Whoever may enter the admin site and look at jobs, by the session or as the project knows its programs.
    Raises: Refused."""
    try:
        program = resolver().api_user(request)
    except PermissionDenied as error:
        raise Refused(403, "forbidden", str(error) or str(forbidden())) from error
    if program is not None:
        request.user = program
    elif not request.user.is_authenticated:
        challenge = {"WWW-Authenticate": resolver().api_challenge}
        raise Refused(401, "not_signed_in", "Nobody is signed in.", headers=challenge)
    elif request.method not in _SAFE and (why := _forged(request)):
        raise Refused(403, "csrf_failed", f"{why} Send the token of the csrftoken cookie in the header X-CSRFToken.")
    if not admin_site().has_permission(request):
        raise forbidden()
    demand(request, "view_job")


def demand(request: HttpRequest, right: str, status: Any = None) -> None:
    """Raises: Refused where who asks has not this right."""
    if not resolver().may(request.user, right, status):
        raise forbidden(right)


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _forged(request: HttpRequest) -> str:
    """Why a request with a session may be another site's, in Django's words; empty when it is not."""
    _ = request.body  # Django looks for the token in a form, and what it reads there is not to be had a second time
    check = _Check(lambda request: HttpResponse())
    check.process_request(request)
    return str(check.process_view(request, None, (), {}) or "")  # ty: ignore


def as_json(answer: Answer) -> HttpResponse:
    """The answer as it is sent."""
    text = json.dumps(answer.body, allow_nan=False, separators=(",", ":"))
    return HttpResponse(text, status=answer.status, headers=dict(answer.headers), content_type="application/json")
