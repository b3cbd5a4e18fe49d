"""Rules of the API that its schemas do not express: schemathesis generates request bodies from the schemas alone.

An amount has the decimals of its currency, and a lower maximum if there are three decimals. The total of the lines is an
amount too. Quantities have three decimals, and VAT rates two. A POST with a known id would change the existing document, so every generated id is made unique."""

import itertools

import schemathesis

COUNTER = itertools.count()
MAXIMUM = 10_000_000_000
THREE_DECIMALS_MAXIMUM = 100_000_000


def is_number(value, least, most):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def amount(value, currency, is_refund=False):
    if is_refund and is_number(value, -MAXIMUM, 0) and value < 0:
        # Not rounded to 0, which is no refund.
        return min(-amount(-value, currency), -1 if currency else -0.01)
    if not is_number(value, 0, MAXIMUM):
        return value
    return round(value, 2) if currency is None else min(int(value), THREE_DECIMALS_MAXIMUM)


def rounded(value, decimals, most):
    least = 10**-decimals
    return max(round(value, decimals), least) if is_number(value, least, most) else value


def line_of(line, currency):
    if not isinstance(line, dict):
        return line
    prices = {field: amount(line[field], currency) for field in ("unit_price", "discount") if field in line}
    quantity = {"quantity": rounded(line["quantity"], 3, 2**32 - 1)} if "quantity" in line else {}
    vat = {"vat_rate": rounded(line["vat_rate"], 2, 100)} if "vat_rate" in line else {}
    return line | prices | quantity | vat


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
        body["amount"] = amount(body["amount"], currency, "refund_of" in body)
    if isinstance(body.get("lines"), list):
        body["lines"] = [line_of(line, currency) for line in body["lines"]]
        if body.get("amount") is None and total(body["lines"]) > THREE_DECIMALS_MAXIMUM:
            body["amount"] = 1
    return body
