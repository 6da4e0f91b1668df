-- How many versions and error types the aggregates of a day tell apart is
-- bounded. Days are the starts of UTC days.

-- +goose Up

-- One process at a time changes the schema.
SELECT pg_advisory_xact_lock(7732816001);

-- The values that are told apart on a day. Late ones were noted when it was
-- over, and are not reserved on the days that follow.
CREATE TABLE dimension_values (
    day       timestamptz NOT NULL,
    dimension text        NOT NULL COLLATE "C" CHECK (dimension IN ('version', 'error_type')),
    value     text        NOT NULL COLLATE "C",
    late      boolean     NOT NULL,
    PRIMARY KEY (day, dimension, value)
);

-- The days that have more values than can be told apart, and take no more: so
-- many calls count as 'other' for it, beside those that the journal has.
CREATE TABLE dimension_overflow (
    day       timestamptz NOT NULL,
    dimension text        NOT NULL COLLATE "C" CHECK (dimension IN ('version', 'error_type')),
    calls     bigint      NOT NULL,
    PRIMARY KEY (day, dimension)
);

-- How many of a row's events count as 'other' for it.
ALTER TABLE aggregation_journal
    ADD COLUMN folded_versions    bigint NOT NULL DEFAULT 0,
    ADD COLUMN folded_error_types bigint NOT NULL DEFAULT 0;

-- What the last days have is told apart already.
INSERT INTO dimension_values
SELECT bucket, 'version', version, false FROM daily_aggregations
WHERE grain = 2 AND bucket >= now() - interval '3 days' AND version <> 'other';

INSERT INTO dimension_values
SELECT bucket, 'error_type', error_type, false FROM error_summary
WHERE resolution = 'day' AND grain = 0 AND bucket >= now() - interval '3 days' AND error_type NOT IN ('other', 'unspecified');

-- +goose Down

-- One process at a time changes the schema.
SELECT pg_advisory_xact_lock(7732816001);

ALTER TABLE aggregation_journal
    DROP COLUMN folded_versions,
    DROP COLUMN folded_error_types;

DROP TABLE dimension_overflow;
DROP TABLE dimension_values;
