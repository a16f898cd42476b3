-- +goose Up
create schema ratelimit;
grant usage on schema ratelimit to annal_app;

create table ratelimit.rate_limit_settings (
    one       boolean primary key check (one),
    position  bigint not null,
    enabled   boolean not null,
    capacity  int not null,
    fill_rate int not null
);
comment on column ratelimit.rate_limit_settings.position is 'Of the newest event about rate limits, those of users included: nodes see by it that they have to read anew.';

create table ratelimit.rate_limit_users (
    user_id   bigint primary key,
    exempt    boolean not null,
    capacity  int not null,
    fill_rate int not null
);

-- Not derived from the log: what callers have used. Unlogged: a crash fills all buckets, and no
-- settlement waits for the disk.
create unlogged table ratelimit.balances (
    key       text collate "C" primary key,
    tokens    double precision not null,
    at        timestamptz not null,
    capacity  int not null,
    fill_rate int not null
) with (fillfactor = 50);
comment on table ratelimit.balances is 'Tokens in the buckets of callers, for all nodes together. A full bucket needs no row.';
comment on column ratelimit.balances.tokens is 'At the moment "at"; negative if the nodes together have given more than there was.';

create table ratelimit.rejections (
    user_id  bigint not null,
    hour     timestamptz not null,
    rejected bigint not null,
    last     timestamptz not null,
    primary key (hour, user_id)
);
comment on table ratelimit.rejections is 'Requests that were refused, by user and hour, for a day.';

grant select, insert, update, delete on all tables in schema ratelimit to annal_app;

-- +goose Down
drop schema ratelimit cascade;
