"""Outputs: data made presentable when someone looks, and a broken function that breaks no page."""

import pytest

import statuses
from statuses import outputs
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def no_processors():
    before = dict(outputs._processors)
    outputs._processors.clear()
    yield
    outputs._processors.clear()
    outputs._processors.update(before)


def test_parts_are_made_by_the_functions_that_fit_the_name():
    @outputs.register("qc_files", "other")
    def files(status):
        yield outputs.File(url=f"/files/{status.data['file']}", name=status.data["file"])

    @outputs.register("qc*")
    def summary(status):
        return outputs.Text(text="fine")

    made = make_status("started", job_name="qc_files").save({"file": "a.csv"})
    assert outputs.of(made) == []

    assert outputs.of(made.succeeded()) == [outputs.File(url="/files/a.csv", name="a.csv"), outputs.Text(text="fine")]
    assert outputs.of(make_status("succeeded", job_name="else")) == []


def test_children_are_at_hand():
    @outputs.register("parent")
    def table(status):
        return outputs.Table(columns=["part"], rows=sorted([child.data] for child in status.children))

    parent = make_status("started", job_name="parent")
    for number in (2, 1):
        parent.spawn("child").save(number).succeeded()

    assert outputs.of(parent.succeeded())[0].rows == [[1], [2]]


@pytest.mark.parametrize("give", [lambda status: 1 / 0, lambda status: ["<b>"], lambda status: 7, lambda status: status.data["nope"]])
def test_a_broken_function_shows_its_error(give):
    outputs.register("a")(give)
    outputs.register("a")(lambda status: outputs.Text(text="still here"))

    broken, text = outputs.of(make_status("succeeded", job_name="a"))

    assert isinstance(broken, outputs.Broken)
    assert "Error" in broken.error
    assert text.text == "still here"


def test_register_needs_a_name():
    with pytest.raises(ValueError, match="names"):
        outputs.register()


def test_a_roll_up_counts_states_and_means_progress():
    parent = make_status("started")
    assert parent.roll_up() == statuses.RollUp(total=0, counts=parent.children.counts(), progress=None)
    parent.spawn("c").started().set_progress(0.5)
    parent.spawn("c").started().succeeded()
    parent.spawn("c")
    parent.spawn("c").started().failed()
    statuses.create(job_name="stranger")

    rolled = parent.roll_up()

    assert (rolled.total, rolled.ended, rolled.progress) == (4, 2, 0.625)
    assert rolled.counts["started"] == 1
