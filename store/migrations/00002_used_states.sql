-- +goose Up
-- The states of installs that were used, by a digest, until a while after their end: each works once, whichever process its
-- browser comes back to.
CREATE TABLE used_states (
    state TEXT   PRIMARY KEY,
    ends  BIGINT NOT NULL
);
CREATE INDEX used_states_ends ON used_states (ends);

-- +goose Down
DROP TABLE used_states;
