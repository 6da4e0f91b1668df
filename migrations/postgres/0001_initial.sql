-- One schema for PostgreSQL with and without TimescaleDB. Where the extension
-- is to be had, events are a hypertable; where not, they are partitioned by the
-- day, and what belongs to no partition goes to the default one. Partitions and
-- chunks are made and dropped by maintenance, as only the program knows how long
-- things are kept.
--
-- Buckets are the starts of UTC hours and days. Optional fields of an event
-- are NULL when absent. Names sort by their bytes, whatever the database's own
-- order is.

-- +goose Up

-- One process at a time changes the schema.
SELECT pg_advisory_xact_lock(7732816001);

-- The library must have been loaded with the server: to create the extension
-- without that ends the connection. A role that may not create it goes without.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
        AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
        AND current_setting('timescaledb.disable_load', true) IS NOT NULL
    THEN
        CREATE EXTENSION timescaledb;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'TimescaleDB is installed and this role may not create the extension: native partitions are used';
END;
$$;
-- +goose StatementEnd

CREATE SEQUENCE events_id_seq CACHE 100;

-- The CHECKs are the last line: what they refuse is a batch that can never be
-- stored.
-- +goose StatementBegin
DO $$
DECLARE
    columns text := $columns$
        id               bigint      NOT NULL DEFAULT nextval('events_id_seq'),
        hour             timestamptz NOT NULL CHECK (hour >= '0001-01-01 00:00:00+00' AND hour < '10000-01-01 00:00:00+00'),
        version          text        NOT NULL COLLATE "C",
        tool             text        NOT NULL COLLATE "C",
        status           text        NOT NULL COLLATE "C" CHECK (status IN ('success', 'error')),
        analytics_level  text        NOT NULL COLLATE "C" CHECK (analytics_level IN ('minimal', 'standard', 'detailed')),
        error_type       text        COLLATE "C",
        response_time_ms integer     CHECK (response_time_ms >= 0),
        service          text        COLLATE "C",
        cache_hit        boolean,
        retry_count      integer     CHECK (retry_count >= 0),
        country          text        COLLATE "C",
        parameters       text        COLLATE "C",
        session_id       text        COLLATE "C",
        sequence_number  integer     CHECK (sequence_number >= 0),
        PRIMARY KEY (hour, id)
    $columns$;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        EXECUTE format('CREATE TABLE events (%s) PARTITION BY RANGE (hour)', columns);
        CREATE TABLE events_default PARTITION OF events DEFAULT;
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE events (%s)', columns);
    PERFORM create_hypertable('events', 'hour', chunk_time_interval => interval '1 day', create_default_indexes => false);
    -- The freely licensed edition cannot compress.
    IF coalesce(current_setting('timescaledb.license', true) = 'timescale', false) THEN
        ALTER TABLE events SET (timescaledb.compress, timescaledb.compress_segmentby = 'tool', timescaledb.compress_orderby = 'hour, id');
        PERFORM add_compression_policy('events', interval '7 days');
    END IF;
END;
$$;
-- +goose StatementEnd

ALTER SEQUENCE events_id_seq OWNED BY events.id;

-- The aggregates, packed: a row holds all groups of one grain in one bucket, or
-- a part of them. grain is the set of dimensions that the groups distinguish, as
-- bits: 1 tool, 2 version, 4 country, 8 service, 16 error type. Only the program
-- reads counts, latency and sessions; readable is what the views below show.
--
-- A merge writes values of up to some megabytes again, so autovacuum frees the
-- room of the old ones after some megabytes as well.
CREATE TABLE packed_aggregates (
    resolution text        NOT NULL COLLATE "C" CHECK (resolution IN ('hour', 'day')),
    grain      smallint    NOT NULL,
    part       smallint    NOT NULL,
    bucket     timestamptz NOT NULL,
    counts     bytea       NOT NULL,
    latency    bytea,
    sessions   bytea,
    readable   text        COLLATE "C",
    PRIMARY KEY (resolution, grain, part, bucket)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 4000
);

-- They hardly shrink, and compressing them costs more than writing them.
ALTER TABLE packed_aggregates
    ALTER counts SET STORAGE EXTERNAL,
    ALTER latency SET STORAGE EXTERNAL,
    ALTER sessions SET STORAGE EXTERNAL;

-- The buckets that have packed aggregates. generation changes whenever any of
-- these does, and never takes a value again.
CREATE TABLE aggregate_buckets (
    resolution text        NOT NULL COLLATE "C" CHECK (resolution IN ('hour', 'day')),
    bucket     timestamptz NOT NULL,
    generation bigint      NOT NULL,
    PRIMARY KEY (resolution, bucket)
) WITH (fillfactor = 70);

CREATE SEQUENCE aggregate_generations OWNED BY aggregate_buckets.generation;

-- What stored batches add to the aggregates and is not merged into them yet. A
-- row is what one transaction added to one UTC day; payload holds entries in
-- number, of that many events. How many of these count as 'other' for their
-- version or error type is in folded_versions and folded_error_types. A merge of a
-- large day takes several transactions, each of which writes some of the values:
-- merge_steps counts those that have what the row adds. Whoever reads aggregates
-- adds the journal to them.
CREATE TABLE aggregation_journal (
    id                 bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    day                timestamptz NOT NULL,
    events             bigint      NOT NULL,
    entries            bigint      NOT NULL,
    payload            bytea       NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    folded_versions    bigint      NOT NULL DEFAULT 0,
    folded_error_types bigint      NOT NULL DEFAULT 0,
    merge_steps        smallint    NOT NULL DEFAULT 0
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 4000
);

-- Payloads do not shrink, and live for minutes.
ALTER TABLE aggregation_journal ALTER payload SET STORAGE EXTERNAL;

-- How many versions and error types the aggregates of a day distinguish is
-- bounded. These are the values that are distinguished on a day, which is the start
-- of a UTC day. Late ones were noted when it was over, and are not reserved on
-- the days that follow.
CREATE TABLE dimension_values (
    day       timestamptz NOT NULL,
    dimension text        NOT NULL COLLATE "C" CHECK (dimension IN ('version', 'error_type')),
    value     text        NOT NULL COLLATE "C",
    late      boolean     NOT NULL,
    PRIMARY KEY (day, dimension, value)
);

-- The days that have more values than can be distinguished, and take no more: so
-- many calls count as 'other' for it, beside those that the journal has.
CREATE TABLE dimension_overflow (
    day       timestamptz NOT NULL,
    dimension text        NOT NULL COLLATE "C" CHECK (dimension IN ('version', 'error_type')),
    calls     bigint      NOT NULL,
    PRIMARY KEY (day, dimension)
);

-- The ids of the batches whose events are stored: what makes redelivery
-- harmless.
CREATE TABLE stored_batches (
    id          text        PRIMARY KEY COLLATE "C",
    received_at timestamptz NOT NULL
);

CREATE INDEX stored_batches_received_at ON stored_batches (received_at);

-- The moment that the cutoffs of the last expiry were counted from: one row, or
-- none before the first expiry.
CREATE TABLE last_expiry (
    id integer     PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    at timestamptz NOT NULL
);

-- One row that the health check writes.
CREATE TABLE heartbeat (at timestamptz NOT NULL);

INSERT INTO heartbeat VALUES ('epoch');

-- For those who read the database: the totals of each hour and day, and their
-- breakdowns by one dimension. What is in the journal is not counted.
-- +goose StatementBegin
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT * FROM (VALUES ('hourly_aggregations', 'hour'), ('daily_aggregations', 'day')) AS t (name, resolution) LOOP
        EXECUTE format($view$
            CREATE VIEW %I AS
            SELECT bucket,
                CASE grain WHEN 0 THEN 'total' WHEN 1 THEN 'tool' WHEN 2 THEN 'version' WHEN 4 THEN 'country' ELSE 'service' END AS dimension,
                entry ->> 0 AS value,
                (entry ->> 1)::bigint AS calls,
                (entry ->> 2)::bigint AS errors,
                (entry ->> 3)::bigint AS cache_hits,
                (entry ->> 4)::bigint AS cache_misses,
                (entry ->> 5)::bigint AS retries,
                (entry ->> 6)::bigint AS retries_observed,
                (entry ->> 7)::bigint AS retried,
                (entry ->> 8)::bigint AS timed,
                (entry ->> 9)::bigint AS response_time_sum_ms
            FROM packed_aggregates, json_array_elements(readable::json) AS entry
            WHERE resolution = %L AND grain IN (0, 1, 2, 4, 8)
        $view$, made.name, made.resolution);
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- The same for error types, by tool. versions are up to 20 that failed. Beyond 500
-- rows of a bucket the rest is one, of the tool and error type 'other'.
CREATE VIEW error_summary AS
SELECT resolution, bucket, entry ->> 0 AS tool, entry ->> 1 AS error_type, (entry ->> 2)::bigint AS count,
    bucket + interval '1 hour' * (entry ->> 3)::integer AS first_seen,
    bucket + interval '1 hour' * (entry ->> 4)::integer AS last_seen,
    ARRAY(SELECT json_array_elements_text(entry -> 5)) AS versions
FROM packed_aggregates, json_array_elements(readable::json) AS entry
WHERE grain = 19 AND part = 0;

-- +goose Down

-- One process at a time changes the schema.
SELECT pg_advisory_xact_lock(7732816001);

DROP VIEW error_summary;
DROP VIEW daily_aggregations;
DROP VIEW hourly_aggregations;
DROP TABLE heartbeat;
DROP TABLE last_expiry;
DROP TABLE stored_batches;
DROP TABLE dimension_overflow;
DROP TABLE dimension_values;
DROP TABLE aggregation_journal;
DROP TABLE aggregate_buckets;
DROP TABLE packed_aggregates;
DROP TABLE events;
