-- +goose Up
create table log.nodes (
    id         uuid primary key,
    home       uuid not null,
    name       text not null,
    version    text not null,
    reads      text[] not null,
    honours    uuid[] not null default '{}',
    started_at timestamptz not null default clock_timestamp(),
    seen_at    timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
comment on table log.nodes is 'The processes that write to the log or serve what it says. One that has not been seen for ten seconds is dead.';
comment on column log.nodes.home is 'One process runs in a home at a time: the next one there knows that the last has ended.';
comment on column log.nodes.reads is 'The event types it can decode: what it cannot is written in an older version as long as it lives.';
comment on column log.nodes.honours is 'The other processes whose reads it goes by when it writes.';
grant select, insert, update, delete on log.nodes to annal_app;

-- +goose Down
drop table log.nodes;
