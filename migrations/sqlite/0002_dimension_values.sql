-- How many versions and error types the aggregates of a day tell apart is
-- bounded. Days are the starts of UTC days in Unix seconds.

-- +goose Up

-- The values that are told apart on a day. Late ones were noted when it was
-- over, and are not reserved on the days that follow.
CREATE TABLE dimension_values (
    day       INTEGER NOT NULL,
    dimension TEXT    NOT NULL CHECK (dimension IN ('version', 'error_type')),
    value     TEXT    NOT NULL,
    late      INTEGER NOT NULL CHECK (late IN (0, 1)),
    PRIMARY KEY (day, dimension, value)
) WITHOUT ROWID, STRICT;

-- The days that have more values than can be told apart, and take no more: so
-- many calls count as 'other' for it.
CREATE TABLE dimension_overflow (
    day       INTEGER NOT NULL,
    dimension TEXT    NOT NULL CHECK (dimension IN ('version', 'error_type')),
    calls     INTEGER NOT NULL,
    PRIMARY KEY (day, dimension)
) WITHOUT ROWID, STRICT;

-- What the last days have is told apart already.
INSERT INTO dimension_values
SELECT bucket, 'version', version, 0 FROM daily_aggregations
WHERE grain = 2 AND bucket >= unixepoch() - 3 * 86400 AND version <> 'other';

INSERT INTO dimension_values
SELECT bucket, 'error_type', error_type, 0 FROM error_summary
WHERE resolution = 'day' AND grain = 0 AND bucket >= unixepoch() - 3 * 86400 AND error_type NOT IN ('other', 'unspecified');

-- +goose Down

DROP TABLE dimension_overflow;
DROP TABLE dimension_values;
