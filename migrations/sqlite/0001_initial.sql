-- Times are Unix seconds in UTC, but for received_at and the like, which are
-- Unix microseconds. Optional fields of an event are NULL when absent.

-- +goose Up

-- The CHECKs are the last line: what they refuse is a batch that can never be
-- stored. 253402300800 is the year 10000.
CREATE TABLE events (
    id               INTEGER PRIMARY KEY,
    hour             INTEGER NOT NULL CHECK (hour >= -62135596800 AND hour < 253402300800 AND hour % 3600 = 0),
    version          TEXT    NOT NULL CHECK (instr(version, char(0)) = 0),
    tool             TEXT    NOT NULL CHECK (instr(tool, char(0)) = 0),
    status           TEXT    NOT NULL CHECK (status IN ('success', 'error')),
    analytics_level  TEXT    NOT NULL CHECK (analytics_level IN ('minimal', 'standard', 'detailed')),
    error_type       TEXT             CHECK (instr(error_type, char(0)) = 0),
    response_time_ms INTEGER          CHECK (response_time_ms >= 0),
    service          TEXT             CHECK (instr(service, char(0)) = 0),
    cache_hit        INTEGER          CHECK (cache_hit IN (0, 1)),
    retry_count      INTEGER          CHECK (retry_count >= 0),
    country          TEXT             CHECK (instr(country, char(0)) = 0),
    parameters       TEXT             CHECK (instr(parameters, char(0)) = 0),
    session_id       TEXT             CHECK (instr(session_id, char(0)) = 0),
    sequence_number  INTEGER          CHECK (sequence_number >= 0)
) STRICT;

CREATE INDEX events_hour ON events (hour);

-- The ids of the batches whose events are stored: what makes redelivery
-- harmless.
CREATE TABLE stored_batches (
    id          TEXT    PRIMARY KEY,
    received_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE INDEX stored_batches_received_at ON stored_batches (received_at);

-- The aggregates, packed: a row holds all groups of one grain, or a part of
-- them, in one hour or day. resolution is 'hour' or 'day' and bucket its start.
-- grain is the set of dimensions that the groups distinguish, as bits: 1 tool,
-- 2 version, 4 country, 8 service, 16 error type. The program alone reads
-- counts, latency and sessions; a reader of counts reads none of the columns
-- after it. readable is what the views below show.
CREATE TABLE packed_aggregates (
    resolution TEXT    NOT NULL,
    grain      INTEGER NOT NULL,
    part       INTEGER NOT NULL,
    bucket     INTEGER NOT NULL,
    counts     BLOB    NOT NULL,
    latency    BLOB    NOT NULL,
    sessions   BLOB    NOT NULL,
    readable   TEXT
) STRICT;

CREATE UNIQUE INDEX packed_aggregates_key ON packed_aggregates (resolution, grain, part, bucket);

-- The hours and days that have packed aggregates. generation changes whenever
-- any of them does. calls is the total.
CREATE TABLE aggregate_buckets (
    resolution TEXT    NOT NULL,
    bucket     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    calls      INTEGER NOT NULL,
    PRIMARY KEY (resolution, bucket)
) WITHOUT ROWID, STRICT;

-- What transactions add to the aggregates of a UTC day and is not merged into
-- them yet. created_at is in Unix microseconds. folded_versions and
-- folded_error_types are how many of the events count under 'other'. A merge of a
-- large day takes several transactions, each of which writes some of the values:
-- merge_steps counts those that have what the row adds.
CREATE TABLE aggregation_journal (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    day                INTEGER NOT NULL,
    events             INTEGER NOT NULL,
    entries            INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    folded_versions    INTEGER NOT NULL,
    folded_error_types INTEGER NOT NULL,
    merge_steps        INTEGER NOT NULL DEFAULT 0,
    payload            BLOB    NOT NULL
) STRICT;

CREATE INDEX aggregation_journal_day ON aggregation_journal (day, id);

-- How many versions and error types the aggregates of a day distinguish is
-- bounded. These are the values that are distinguished on a day, which is the start
-- of the UTC day. Late ones were noted when it was over, and are not reserved on
-- the days that follow.
CREATE TABLE dimension_values (
    day       INTEGER NOT NULL,
    dimension TEXT    NOT NULL CHECK (dimension IN ('version', 'error_type')),
    value     TEXT    NOT NULL,
    late      INTEGER NOT NULL CHECK (late IN (0, 1)),
    PRIMARY KEY (day, dimension, value)
) WITHOUT ROWID, STRICT;

-- The days that have more values than can be distinguished, and take no more: so
-- many calls count as 'other' for it, beside those in the journal.
CREATE TABLE dimension_overflow (
    day       INTEGER NOT NULL,
    dimension TEXT    NOT NULL CHECK (dimension IN ('version', 'error_type')),
    calls     INTEGER NOT NULL,
    PRIMARY KEY (day, dimension)
) WITHOUT ROWID, STRICT;

-- For operators: the totals, and the breakdowns by one dimension. They lack what
-- is in the journal, up to MERGE_INTERVAL_SECONDS. value is '' in the total and
-- for the events that do not have the dimension.
CREATE VIEW aggregations AS
SELECT resolution, bucket,
    CASE grain WHEN 0 THEN 'total' WHEN 1 THEN 'tool' WHEN 2 THEN 'version' WHEN 4 THEN 'country' ELSE 'service' END AS dimension,
    row.value ->> 0 AS value, row.value ->> 1 AS calls, row.value ->> 2 AS errors,
    row.value ->> 3 AS cache_hits, row.value ->> 4 AS cache_misses,
    row.value ->> 5 AS retries, row.value ->> 6 AS retries_observed, row.value ->> 7 AS retried,
    row.value ->> 8 AS timed, row.value ->> 9 AS response_time_sum_ms
FROM packed_aggregates, json_each(readable) AS row
WHERE grain IN (0, 1, 2, 4, 8) AND part = 0;

CREATE VIEW hourly_aggregations AS
SELECT bucket, dimension, value, calls, errors, cache_hits, cache_misses, retries, retries_observed, retried, timed, response_time_sum_ms
FROM aggregations WHERE resolution = 'hour';

CREATE VIEW daily_aggregations AS
SELECT bucket, dimension, value, calls, errors, cache_hits, cache_misses, retries, retries_observed, retried, timed, response_time_sum_ms
FROM aggregations WHERE resolution = 'day';

-- The same for error types, by tool. versions is a JSON array of up to 20 that
-- failed. Beyond 500 rows of a bucket the rest is one, of the tool and error type
-- 'other'.
CREATE VIEW error_summary AS
SELECT resolution, bucket, row.value ->> 0 AS tool, row.value ->> 1 AS error_type, row.value ->> 2 AS count,
    bucket + 3600 * (row.value ->> 3) AS first_seen, bucket + 3600 * (row.value ->> 4) AS last_seen,
    row.value -> 5 AS versions
FROM packed_aggregates, json_each(readable) AS row
WHERE grain = 19 AND part = 0;

-- The moment that the cutoffs of the last expiry were counted from: one row, or
-- none before the first expiry.
CREATE TABLE last_expiry (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;

-- One row that the health check writes.
CREATE TABLE heartbeat (
    at     INTEGER NOT NULL,
    filler BLOB    NOT NULL
) STRICT;

INSERT INTO heartbeat VALUES (0, x'');

-- +goose Down

DROP TABLE heartbeat;
DROP TABLE last_expiry;
DROP VIEW error_summary;
DROP VIEW daily_aggregations;
DROP VIEW hourly_aggregations;
DROP VIEW aggregations;
DROP TABLE dimension_overflow;
DROP TABLE dimension_values;
DROP TABLE aggregation_journal;
DROP TABLE aggregate_buckets;
DROP TABLE packed_aggregates;
DROP TABLE stored_batches;
DROP TABLE events;
