-- +goose Up
-- SQLite and PostgreSQL both run this. Times are milliseconds since 1970, for which PostgreSQL needs a BIGINT; 0 means: never.
-- Lists and maps are JSON.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row for every GHL contact ever seen, and one more each for its tasks and notes (object "tasks-notes") and its segments
-- ("segments"); one for every business ("business"), under contact its id. Each has one writer at a time.
-- docs/architecture.md has the transitions.
CREATE TABLE links (
    location        TEXT    NOT NULL,
    contact         TEXT    NOT NULL,
    object          TEXT    NOT NULL,
    version         BIGINT  NOT NULL,
    last_read       BIGINT  NOT NULL DEFAULT 0,
    covered         BIGINT  NOT NULL DEFAULT 0,
    finished        BIGINT  NOT NULL DEFAULT 0,
    holder          TEXT    NOT NULL DEFAULT '',
    held_until      BIGINT  NOT NULL DEFAULT 0,
    unsure_since    BIGINT  NOT NULL DEFAULT 0,
    intent          TEXT    NOT NULL DEFAULT '',
    generation      BIGINT  NOT NULL DEFAULT 0,
    rankr_id        TEXT    NOT NULL DEFAULT '',
    created_by_us   BOOLEAN NOT NULL DEFAULT FALSE,
    deleted         BOOLEAN NOT NULL DEFAULT FALSE,
    fields          TEXT    NOT NULL DEFAULT '',
    tags            TEXT    NOT NULL DEFAULT '',
    date_updated    BIGINT  NOT NULL DEFAULT 0,
    mapping_version TEXT    NOT NULL DEFAULT '',
    records         TEXT    NOT NULL DEFAULT '',
    decision        TEXT    NOT NULL DEFAULT '',
    business        TEXT    NOT NULL DEFAULT '', -- the decision's, for links_business
    PRIMARY KEY (location, contact, object)
);
-- Two contacts, or businesses, of one location can't be linked to one record: the loser of two becomes a problem. The other
-- rows follow their contact's: where a record changed hands, the one of before may still name it.
CREATE UNIQUE INDEX links_contacts ON links (location, rankr_id) WHERE object = 'contact' AND rankr_id <> '';
CREATE UNIQUE INDEX links_businesses ON links (location, rankr_id) WHERE object = 'business' AND rankr_id <> '';
-- Which contacts are remembered to be attached to a business.
CREATE INDEX links_business ON links (location, business) WHERE object = 'contact' AND rankr_id <> '';

-- Every task that polls ever saw open, for GHL tells neither when a task was made nor that it was edited or, sometimes, whose
-- it is. The row with an empty task says that all tasks of the location were seen once.
CREATE TABLE polled_tasks (
    location TEXT NOT NULL,
    task     TEXT NOT NULL,
    contact  TEXT NOT NULL,
    open     BOOLEAN NOT NULL,
    known    TEXT NOT NULL,
    PRIMARY KEY (location, task)
);
CREATE INDEX polled_tasks_open ON polled_tasks (location) WHERE open;

CREATE TABLE problems (
    location     TEXT    NOT NULL,
    contact      TEXT    NOT NULL,
    object       TEXT    NOT NULL,
    code         TEXT    NOT NULL,
    operation    TEXT    NOT NULL,
    fields       TEXT    NOT NULL,
    trace_id     TEXT    NOT NULL,
    first_seen   BIGINT  NOT NULL,
    last_seen    BIGINT  NOT NULL,
    attempts     BIGINT  NOT NULL,
    approved     BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (location, contact, object)
);

-- What the delete brake counts. A contact's delete counts once, however often it is tried.
CREATE TABLE deletes (
    location   TEXT    NOT NULL,
    contact    TEXT    NOT NULL,
    generation BIGINT  NOT NULL,
    at         BIGINT  NOT NULL,
    PRIMARY KEY (location, contact, generation)
);
CREATE INDEX deletes_at ON deletes (location, at);

-- A location, or with '*' every location, for which nothing can run until a poll succeeds.
CREATE TABLE parked (
    location TEXT PRIMARY KEY,
    code     TEXT    NOT NULL,
    since    BIGINT  NOT NULL
);

-- Every tick of a location's poll with the watermark it left: how the store and Temporal, one of them restored
-- from a backup, find the last tick that both know.
CREATE TABLE ticks (
    location  TEXT    NOT NULL,
    tick      BIGINT  NOT NULL,
    watermark BIGINT  NOT NULL,
    at        BIGINT  NOT NULL,
    PRIMARY KEY (location, tick)
);

-- A token of a location or a company, sealed: the store knows no key. One process renews it at a time.
CREATE TABLE tokens (
    owner      TEXT   PRIMARY KEY,
    kind       TEXT   NOT NULL,
    company    TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    sealed     TEXT   NOT NULL,
    expires    BIGINT NOT NULL,
    holder     TEXT   NOT NULL,
    held_until BIGINT NOT NULL
);

-- The locations that people connected, and how they stand.
CREATE TABLE connections (
    location    TEXT   PRIMARY KEY,
    company     TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    owner       TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    scopes      TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    state_since BIGINT NOT NULL,
    installed   BIGINT NOT NULL
);

-- +goose Down
DROP TABLE connections;
DROP TABLE tokens;
DROP TABLE polled_tasks;
DROP TABLE ticks;
DROP TABLE parked;
DROP TABLE deletes;
DROP TABLE problems;
DROP TABLE links;
DROP TABLE meta;
