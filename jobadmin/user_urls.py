"""URLs for the people who use the product, to be included wherever a project likes: ``path("jobs/", include("jobadmin.user_urls"))``.

They need no admin and no right: everybody who is signed in sees the jobs they started themselves.
"""

from django.urls import path

from jobadmin.views import mine

app_name = "jobadmin_user"

urlpatterns = [
    path("mine/", mine.mine, name="mine"),
    path("<str:quoted>/progress/", mine.progress, name="progress"),
]
