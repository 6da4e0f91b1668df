-- The queue of the embedded store, in a file of its own. Times are Unix
-- microseconds. A payload is the events of a batch in the program's own form.

-- +goose Up

-- What was accepted and is not stored yet, oldest first by place. The program
-- numbers the places, and counts batches, events and bytes in its memory.
CREATE TABLE queue (
    place       INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    received_at INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    payload     BLOB    NOT NULL
) STRICT;

-- How often each batch was handed out, if it was. Counting it in the queue would
-- write the payload anew.
CREATE TABLE queue_attempts (
    place    INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER queue_shrinks AFTER DELETE ON queue BEGIN
    DELETE FROM queue_attempts WHERE place = old.place;
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

-- One row that the health check writes.
CREATE TABLE heartbeat (
    at     INTEGER NOT NULL,
    filler BLOB    NOT NULL
) STRICT;

INSERT INTO heartbeat VALUES (0, x'');

-- +goose Down

DROP TABLE heartbeat;
DROP TABLE secrets;
DROP TABLE receipts_size;
DROP TABLE receipts;
DROP TABLE dead_letters;
DROP TABLE queue_attempts;
DROP TABLE queue;
