"""The page of a demo's audit shows what its checks found."""

import pytest

from jobadmin.demo.outputs import audit
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")


def test_an_audit_shows_what_its_checks_found_and_why_one_failed():
    status = make_status("started", job_name="packages.audit", job_args={"package": "Package:django"})
    status.spawn("packages.audit.measure_sources").queued().started().save({"result": {"files": 3, "lines": 1200, "bytes": 5}}).succeeded()
    licence = status.spawn("packages.audit.read_licence").queued().started()
    licence.add_error(FileNotFoundError("no licence file"))
    licence.failed()

    table, text = audit(status.succeeded())

    assert table.rows[0] == ("Sources", "succeeded", "3 files, 1,200 lines, 5 bytes")
    assert table.rows[1][:2] == ("Licence", "failed")
    assert "no licence file" in table.rows[1][2]
    assert text.text == "2 checks, 1 failed"


def test_an_audit_without_checks_has_no_output():
    assert audit(make_status("succeeded", job_name="packages.audit")) == []
