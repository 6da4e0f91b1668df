-- Times are Unix seconds in UTC, but for received_at and the like, which are
-- Unix microseconds. Optional fields of an event are NULL when absent. In the
-- aggregates a dimension is '' when it is outside the row's grain and for the
-- events that do not have it.

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

-- grain is the set of dimensions that the row tells apart, as bits: 1 tool,
-- 2 version, 4 country, 8 service.
CREATE TABLE hourly_aggregations (
    grain                INTEGER NOT NULL,
    bucket               INTEGER NOT NULL,
    tool                 TEXT    NOT NULL,
    version              TEXT    NOT NULL,
    country              TEXT    NOT NULL,
    service              TEXT    NOT NULL,
    calls                INTEGER NOT NULL,
    errors               INTEGER NOT NULL,
    cache_hits           INTEGER NOT NULL,
    cache_misses         INTEGER NOT NULL,
    retries              INTEGER NOT NULL,
    retries_observed     INTEGER NOT NULL,
    retried              INTEGER NOT NULL,
    response_time_sum_ms INTEGER NOT NULL,
    response_time_min_ms INTEGER NOT NULL,
    response_time_max_ms INTEGER NOT NULL,
    latency              BLOB    NOT NULL,
    sessions             BLOB    NOT NULL,
    PRIMARY KEY (grain, bucket, tool, version, country, service)
) WITHOUT ROWID, STRICT;

CREATE TABLE daily_aggregations (
    grain                INTEGER NOT NULL,
    bucket               INTEGER NOT NULL,
    tool                 TEXT    NOT NULL,
    version              TEXT    NOT NULL,
    country              TEXT    NOT NULL,
    service              TEXT    NOT NULL,
    calls                INTEGER NOT NULL,
    errors               INTEGER NOT NULL,
    cache_hits           INTEGER NOT NULL,
    cache_misses         INTEGER NOT NULL,
    retries              INTEGER NOT NULL,
    retries_observed     INTEGER NOT NULL,
    retried              INTEGER NOT NULL,
    response_time_sum_ms INTEGER NOT NULL,
    response_time_min_ms INTEGER NOT NULL,
    response_time_max_ms INTEGER NOT NULL,
    latency              BLOB    NOT NULL,
    sessions             BLOB    NOT NULL,
    PRIMARY KEY (grain, bucket, tool, version, country, service)
) WITHOUT ROWID, STRICT;

-- A filter on the first dimensions of a row is a prefix of the primary key
-- within each bucket. Only a filter on the last one needs an index, so a row is
-- in at most one. Rows of full grain are in none: they are many, and read only
-- for filters and breakdowns of three dimensions together.
CREATE INDEX hourly_aggregations_version ON hourly_aggregations (grain, version, bucket) WHERE grain < 4 AND version <> '';
CREATE INDEX hourly_aggregations_country ON hourly_aggregations (grain, country, bucket) WHERE grain < 8 AND country <> '';
CREATE INDEX hourly_aggregations_service ON hourly_aggregations (grain, service, bucket) WHERE grain < 15 AND service <> '';
CREATE INDEX daily_aggregations_version ON daily_aggregations (grain, version, bucket) WHERE grain < 4 AND version <> '';
CREATE INDEX daily_aggregations_country ON daily_aggregations (grain, country, bucket) WHERE grain < 8 AND country <> '';
CREATE INDEX daily_aggregations_service ON daily_aggregations (grain, service, bucket) WHERE grain < 15 AND service <> '';

-- tools and versions are JSON arrays. The group stands before the bucket in
-- the key, as the rows of one group are always wanted.
CREATE TABLE error_summary (
    resolution TEXT    NOT NULL CHECK (resolution IN ('hour', 'day')),
    grain      INTEGER NOT NULL,
    tool       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    country    TEXT    NOT NULL,
    service    TEXT    NOT NULL,
    bucket     INTEGER NOT NULL,
    error_type TEXT    NOT NULL,
    count      INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    tools      TEXT    NOT NULL,
    versions   TEXT    NOT NULL,
    PRIMARY KEY (resolution, grain, tool, version, country, service, bucket, error_type)
) WITHOUT ROWID, STRICT;

CREATE INDEX error_summary_bucket ON error_summary (resolution, grain, bucket);

-- What was accepted and is not stored yet, oldest first by place.
CREATE TABLE queue (
    place       INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    received_at INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    payload     BLOB    NOT NULL
) STRICT;

-- One row that counts the queue, so that its bounds cost the same however much
-- it holds. A batch counts with its payload and 256 bytes.
CREATE TABLE queue_size (
    batches INTEGER NOT NULL,
    events  INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;

INSERT INTO queue_size VALUES (0, 0, 0);

-- +goose StatementBegin
CREATE TRIGGER queue_grows AFTER INSERT ON queue BEGIN
    UPDATE queue_size SET batches = batches + 1, events = events + new.events, bytes = bytes + length(new.payload) + 256;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER queue_shrinks AFTER DELETE ON queue BEGIN
    UPDATE queue_size SET batches = batches - 1, events = events - old.events, bytes = bytes - length(old.payload) - 256;
END;
-- +goose StatementEnd

-- The program changes no payload; whoever repairs one by hand may.
-- +goose StatementBegin
CREATE TRIGGER queue_changes AFTER UPDATE OF payload ON queue BEGIN
    UPDATE queue_size SET bytes = bytes + length(new.payload) - length(old.payload);
END;
-- +goose StatementEnd

CREATE TABLE dead_letters (
    place       INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    buried_at   INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    payload     BLOB    NOT NULL
) STRICT;

CREATE INDEX dead_letters_id ON dead_letters (id);

-- What is kept for idempotency keys, oldest first by place. The hash is a keyed
-- one, as is the fingerprint of the body in the receipt. bytes is what counts
-- towards the bound.
CREATE TABLE receipts (
    place      INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    receipt    BLOB    NOT NULL
) STRICT;

CREATE INDEX receipts_expires_at ON receipts (expires_at);

-- One row that counts the receipts.
CREATE TABLE receipts_size (
    receipts INTEGER NOT NULL,
    bytes    INTEGER NOT NULL
) STRICT;

INSERT INTO receipts_size VALUES (0, 0);

-- +goose StatementBegin
CREATE TRIGGER receipts_grow AFTER INSERT ON receipts BEGIN
    UPDATE receipts_size SET receipts = receipts + 1, bytes = bytes + new.bytes;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER receipts_shrink AFTER DELETE ON receipts BEGIN
    UPDATE receipts_size SET receipts = receipts - 1, bytes = bytes - old.bytes;
END;
-- +goose StatementEnd

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

INSERT INTO secrets VALUES ('idempotency_keys', randomblob(32));

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
DROP TABLE secrets;
DROP TABLE receipts_size;
DROP TABLE receipts;
DROP TABLE dead_letters;
DROP TABLE queue_size;
DROP TABLE queue;
DROP TABLE error_summary;
DROP TABLE daily_aggregations;
DROP TABLE hourly_aggregations;
DROP TABLE stored_batches;
DROP TABLE events;
