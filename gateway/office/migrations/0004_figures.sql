-- Sums of the present states of the sales in `sale`, so that nobody has to read years of sales to compare shops. They
-- change in the same transaction as the sales. docs/adr/0017-office.md, section "Figures", has the reasons.
CREATE TABLE figure (
    store text COLLATE "C" NOT NULL,
    -- The beginning of a quarter of an hour. The days of every time zone consist of whole quarters.
    quarter timestamptz NOT NULL,
    -- Empty for sales without an amount.
    currency text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    success_payments bigint NOT NULL,
    failed_payments bigint NOT NULL,
    deliveries bigint NOT NULL,
    -- Successful payments, in minor units. Its sum may exceed a bigint.
    revenue numeric NOT NULL,
    -- Covering: the rows of a shop are on as many pages as there are days, and the index has them beside one another.
    PRIMARY KEY (store, quarter, currency) INCLUDE (orders, success_payments, failed_payments, deliveries, revenue)
);

INSERT INTO figure (store, quarter, currency, orders, success_payments, failed_payments, deliveries, revenue)
SELECT
    store,
    to_timestamp(floor(extract(epoch FROM time) / 900) * 900),
    coalesce(currency, ''),
    count(*) FILTER (WHERE kind = 'order'),
    count(*) FILTER (WHERE kind = 'payment' AND status = 'SUCCESS'),
    count(*) FILTER (WHERE kind = 'payment' AND status <> 'SUCCESS'),
    count(*) FILTER (WHERE kind = 'delivery'),
    coalesce(sum(amount) FILTER (WHERE kind = 'payment' AND status = 'SUCCESS'), 0)
FROM sale
GROUP BY 1, 2, 3
-- Rows of the same days then share pages, as those that are added later do.
ORDER BY 2, 1, 3;

-- For the newest sales of one kind on the page of a shop that has few of them.
CREATE INDEX sale_by_shop_and_kind ON sale (store, kind, time, device, id);

-- What the retention has deleted: sales before this time. They may not be counted again. One row.
CREATE TABLE retention (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    sales_before timestamptz NOT NULL
);

INSERT INTO retention (sales_before) VALUES ('-infinity');
