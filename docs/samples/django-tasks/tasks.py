try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task
def ship(order):
    return f"{order} is on its way"


@task
def refund(order):
    raise ValueError(f"{order} was never paid")
