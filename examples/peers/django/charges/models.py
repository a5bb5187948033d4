"""Charges, and the answers that their captures were given."""

import uuid

from django.db import models


class Charge(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    total = models.DecimalField(max_digits=14, decimal_places=2)
    status = models.CharField(max_length=20, default="new")
    valid_till = models.DateTimeField(null=True)
    paid = models.DecimalField(max_digits=14, decimal_places=2, null=True)

    class Meta:
        db_table = "charge"


class CaptureRequest(models.Model):
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT)
    token = models.CharField(max_length=255)
    total = models.DecimalField(max_digits=14, decimal_places=2)
    status = models.PositiveSmallIntegerField()
    answer = models.TextField()

    class Meta:
        db_table = "capture_request"
        constraints = (models.UniqueConstraint(fields=["charge", "token"], name="one_answer_for_a_token"),)
