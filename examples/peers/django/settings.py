"""Charges, in Django: each request has a transaction, and each thread a connection."""

import dj_database_url

DATABASES = {"default": dj_database_url.config(conn_max_age=600, conn_health_checks=True)}
DATABASES["default"]["ATOMIC_REQUESTS"] = True
INSTALLED_APPS = ["charges"]
MIDDLEWARE = ["charges.views.answer_refusals"]
ROOT_URLCONF = "charges.views"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
SECRET_KEY = "of no use here"
