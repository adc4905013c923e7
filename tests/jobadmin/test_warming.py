"""A web process is ready before its first visitor."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from django.template import engines
from django.template.loaders.filesystem import Loader
from django.urls import reverse

from jobadmin.warming import warm
from statuses.testing import make_status
from tests.servers import ROOT


@pytest.mark.django_db
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("page", ["overview", "list", "names", "errors", "workers"])
def test_the_first_page_of_a_warm_process_reads_no_template_of_ours(browse: Callable, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_status("failed", job_name="mail.send", error="broken")
    client, read, real = browse(), [], Loader.get_contents
    for loader in engines["django"].engine.template_loaders:
        loader.reset()
    warm()
    monkeypatch.setattr(Loader, "get_contents", lambda self, origin: read.append(origin.template_name) or real(self, origin))

    assert client.get(reverse(f"jobadmin:{page}")).status_code == 200
    assert [name for name in read if name.startswith("jobadmin/")] == []


def test_what_answers_are_made_with_is_imported_when_asked_for() -> None:
    code = (
        "import statuses, sys; assert 'numpy' not in sys.modules; statuses.preload(); "
        "assert {'numpy', 'statuses.reports', 'statuses.pages'} <= sys.modules.keys()"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
