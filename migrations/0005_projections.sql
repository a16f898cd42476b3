-- +goose Up
create schema projections;
grant usage on schema projections to annal_app;

create table projections.checkpoints (
    projection text primary key,
    position   bigint not null default 0,
    error      text,
    moved_at   timestamptz not null default now()
) with (fillfactor = 10);
comment on table projections.checkpoints is 'Up to which position each asynchronous projection has read. Moves in the transaction that moves its rows.';

create table projections.parked (
    projection text not null,
    position   bigint not null,
    stream     text not null,
    attempts   int not null,
    error      text not null,
    parked_at  timestamptz not null default now(),
    primary key (projection, position)
);
comment on table projections.parked is 'Events a projection could not apply, and later events of the same stream held behind them.';

grant select, insert, update, delete on all tables in schema projections to annal_app;

-- +goose Down
drop schema projections cascade;
