"""Subjects that matter to an escalation whatever the request is about."""

from __future__ import annotations

from enum import StrEnum


class Topic(StrEnum):
    """`MEDICAL` and `FINANCIAL_ADVICE` are advice asked for; `FRAUD` is money leaving at this moment."""

    LEGAL = "legal"
    MEDICAL = "medical"
    FINANCIAL_ADVICE = "financial_advice"
    COMPLAINT = "complaint"
    COMPLAINT_ABOUT_AGENT = "complaint_about_agent"
    DISTRESS = "distress"
    FRAUD = "fraud"
