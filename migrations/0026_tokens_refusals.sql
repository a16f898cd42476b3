-- +goose Up
create table access.token_uses (
    token_id bigint primary key,
    used_at  timestamptz not null
) with (fillfactor = 50);
comment on table access.token_uses is 'When access tokens were last used, to the minute. Not made from the log: a rebuild leaves it alone.';

grant select, insert, update, delete on access.token_uses to annal_app;

-- Not made from the log: what was refused changed nothing. Rows come in batches and go by age;
-- nobody changes one.
create table access.refusals (
    id         bigint generated always as identity primary key,
    at         timestamptz not null,
    kind       text not null check (kind in ('login', 'permission', 'rule', 'dropped')),
    user_id    bigint,
    name_hash  bytea check (length(name_hash) = 16),
    address    text not null,
    project    bigint,
    repository bigint,
    need       text not null,
    ref        text not null,
    request    text not null,
    times      bigint not null default 1
);
comment on table access.refusals is 'What was refused to whom. Of kind "dropped": how many refusals were too many to be written down.';
comment on column access.refusals.user_id is 'Who was refused, or whose name was tried; null for nobody.';
comment on column access.refusals.name_hash is 'Keyed hash of a name that was tried and that no user has: people type passwords there.';
comment on column access.refusals.need is 'The permission that was needed, or the rule that refused.';
create index refusals_at on access.refusals (at);
create index refusals_user on access.refusals (user_id, id) where user_id is not null;
create index refusals_address on access.refusals (address, id);
create index refusals_repository on access.refusals (repository, id) where repository is not null;

grant select, insert, delete on access.refusals to annal_app;

-- +goose Down
drop table access.refusals;
drop table access.token_uses;
