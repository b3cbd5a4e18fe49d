"""Rules of the API that its schemas do not express: schemathesis generates request bodies from the schemas alone.

An amount has the decimals of its currency, and a lower maximum if there are three decimals. The total of the lines is an
amount too. A POST with a known id would change the existing document, so every generated id is made unique."""

import itertools

import schemathesis

COUNTER = itertools.count()
MAXIMUM = 10_000_000_000
THREE_DECIMALS_MAXIMUM = 100_000_000


def is_amount(value):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value <= MAXIMUM


def amount(value, currency):
    if not is_amount(value):
        return value
    return round(value, 2) if currency is None else min(int(value), THREE_DECIMALS_MAXIMUM)


def is_id(value):
    return isinstance(value, str) and 0 < len(value) <= 128 and value.isprintable()


def total(lines):
    try:
        return sum((line.get("quantity") or 1) * line["unit_price"] for line in lines)
    except (AttributeError, KeyError, TypeError):
        return 0


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    body = dict(body)
    currency = body.get("currency")
    for field in ("order_id", "payment_id", "delivery_id"):
        if is_id(body.get(field)):
            body[field] = f"{body[field][:-8]}{next(COUNTER):08}"
    if "amount" in body:
        body["amount"] = amount(body["amount"], currency)
    if isinstance(body.get("lines"), list):
        body["lines"] = [
            line | {"unit_price": amount(line["unit_price"], currency)}
            if isinstance(line, dict) and "unit_price" in line
            else line
            for line in body["lines"]
        ]
        if body.get("amount") is None and total(body["lines"]) > THREE_DECIMALS_MAXIMUM:
            body["amount"] = 1
    return body
