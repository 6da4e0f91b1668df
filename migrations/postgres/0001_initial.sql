-- One schema for PostgreSQL with and without TimescaleDB. Where the extension
-- is to be had, events, hourly aggregates and error summaries are hypertables;
-- where not, they are partitioned by the day, and what belongs to no partition
-- goes to the default one. Partitions and chunks are made and dropped by
-- maintenance, as only the program knows how long things are kept.
--
-- Buckets are the starts of UTC hours and days. Optional fields of an event
-- are NULL when absent. In the aggregates a dimension is '' when it is outside
-- the row's grain and for the events that do not have it. Names sort by their
-- bytes, whatever the database's own order is.

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
    timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
    -- The freely licensed edition cannot compress.
    compressing boolean := coalesce(current_setting('timescaledb.license', true) = 'timescale', false);
    partitioned record;
BEGIN
    FOR partitioned IN SELECT * FROM (VALUES
        ('events', 'hour', interval '7 days', 'tool', 'hour, id', $columns$
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
        $columns$),
        -- grain is the set of dimensions that the row tells apart, as bits:
        -- 1 tool, 2 version, 4 country, 8 service.
        ('hourly_aggregations', 'bucket', interval '3 days', 'grain', 'bucket, tool, version, country, service', $columns$
            grain                smallint    NOT NULL,
            bucket               timestamptz NOT NULL,
            tool                 text        NOT NULL COLLATE "C",
            version              text        NOT NULL COLLATE "C",
            country              text        NOT NULL COLLATE "C",
            service              text        NOT NULL COLLATE "C",
            calls                bigint      NOT NULL,
            errors               bigint      NOT NULL,
            cache_hits           bigint      NOT NULL,
            cache_misses         bigint      NOT NULL,
            retries              bigint      NOT NULL,
            retries_observed     bigint      NOT NULL,
            retried              bigint      NOT NULL,
            response_time_sum_ms bigint      NOT NULL,
            response_time_min_ms integer     NOT NULL,
            response_time_max_ms integer     NOT NULL,
            latency              bytea       NOT NULL,
            sessions             bytea       NOT NULL,
            PRIMARY KEY (grain, bucket, tool, version, country, service)
        $columns$),
        -- tools and versions are arrays of strings. The group stands before the
        -- bucket in the key, as the rows of one group are always wanted.
        ('error_summary', 'bucket', interval '7 days', 'resolution, grain', 'bucket, tool, version, country, service, error_type', $columns$
            resolution text        NOT NULL COLLATE "C" CHECK (resolution IN ('hour', 'day')),
            grain      smallint    NOT NULL,
            tool       text        NOT NULL COLLATE "C",
            version    text        NOT NULL COLLATE "C",
            country    text        NOT NULL COLLATE "C",
            service    text        NOT NULL COLLATE "C",
            bucket     timestamptz NOT NULL,
            error_type text        NOT NULL COLLATE "C",
            count      bigint      NOT NULL,
            first_seen timestamptz NOT NULL,
            last_seen  timestamptz NOT NULL,
            tools      jsonb       NOT NULL,
            versions   jsonb       NOT NULL,
            PRIMARY KEY (resolution, grain, tool, version, country, service, bucket, error_type)
        $columns$)
    ) AS t (name, time_column, compress_after, segments, sorting, columns) LOOP
        IF NOT timescale THEN
            EXECUTE format('CREATE TABLE %I (%s) PARTITION BY RANGE (%I)', partitioned.name, partitioned.columns, partitioned.time_column);
            EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT WITH (fillfactor = 70)', partitioned.name || '_default', partitioned.name);
            CONTINUE;
        END IF;
        EXECUTE format('CREATE TABLE %I (%s)', partitioned.name, partitioned.columns);
        EXECUTE format('SELECT create_hypertable(%L, %L, chunk_time_interval => interval ''1 day'', create_default_indexes => false)',
            partitioned.name, partitioned.time_column);
        IF compressing THEN
            EXECUTE format('ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L, timescaledb.compress_orderby = %L)',
                partitioned.name, partitioned.segments, partitioned.sorting);
            EXECUTE format('SELECT add_compression_policy(%L, %L::interval)', partitioned.name, partitioned.compress_after);
        END IF;
    END LOOP;
END;
$$;
-- +goose StatementEnd

ALTER SEQUENCE events_id_seq OWNED BY events.id;

-- As hourly_aggregations, in one table: there is a day's worth for a day.
CREATE TABLE daily_aggregations (
    grain                smallint    NOT NULL,
    bucket               timestamptz NOT NULL,
    tool                 text        NOT NULL COLLATE "C",
    version              text        NOT NULL COLLATE "C",
    country              text        NOT NULL COLLATE "C",
    service              text        NOT NULL COLLATE "C",
    calls                bigint      NOT NULL,
    errors               bigint      NOT NULL,
    cache_hits           bigint      NOT NULL,
    cache_misses         bigint      NOT NULL,
    retries              bigint      NOT NULL,
    retries_observed     bigint      NOT NULL,
    retried              bigint      NOT NULL,
    response_time_sum_ms bigint      NOT NULL,
    response_time_min_ms integer     NOT NULL,
    response_time_max_ms integer     NOT NULL,
    latency              bytea       NOT NULL,
    sessions             bytea       NOT NULL,
    PRIMARY KEY (grain, bucket, tool, version, country, service)
) WITH (fillfactor = 70); -- rows are written again and again

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

-- What stored batches add to the aggregates and is not merged into their rows
-- yet. A row is what one transaction added to one day; payload holds its hourly
-- rows of full grain, entries in number, of that many events. Whoever reads
-- aggregates adds the journal to them.
CREATE TABLE aggregation_journal (
    id      bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    day     timestamptz NOT NULL,
    events  bigint      NOT NULL,
    entries bigint      NOT NULL,
    payload bytea       NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Payloads do not shrink, and live for seconds.
ALTER TABLE aggregation_journal ALTER payload SET STORAGE EXTERNAL;

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

-- +goose Down

-- One process at a time changes the schema.
SELECT pg_advisory_xact_lock(7732816001);

DROP TABLE heartbeat;
DROP TABLE last_expiry;
DROP TABLE stored_batches;
DROP TABLE aggregation_journal;
DROP TABLE error_summary;
DROP TABLE daily_aggregations;
DROP TABLE hourly_aggregations;
DROP TABLE events;
