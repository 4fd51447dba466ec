"""The provider's routes, and the login that comes with Django."""

from django.contrib.auth.views import (  # type: ignore[import-not-found]  # in the peer's packages
    LoginView,
)
from django.urls import include, path  # type: ignore[import-not-found]  # as above

urlpatterns = [
    path("login/", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
