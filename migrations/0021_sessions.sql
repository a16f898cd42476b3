-- +goose Up
create sequence log.oauth_client_id;
create sequence log.oauth_grant_id;
grant usage on sequence log.oauth_client_id, log.oauth_grant_id to annal_app;

alter table access.users add column session_epoch bigint not null default 0;
comment on column access.users.session_epoch is 'Position of the last event that ended the user''s sessions: those that began under another are over.';
update access.users u set session_epoch = coalesce((
    select max(e.position) from log.events e where e.stream = 'user/' || u.id
        and e.type in ('user.password_set.v1', 'user.deactivated.v1', 'account.erased.v1')), 0);

create table access.identities (
    issuer  text not null,
    subject text not null,
    user_id bigint not null references access.users (id),
    primary key (issuer, subject)
);
comment on table access.identities is 'Whom providers of OpenID Connect know which user as.';
create unique index identities_user on access.identities (user_id, issuer);

create table access.oauth_clients (
    id            bigint primary key,
    client_id     text not null,
    name          text not null,
    secret_hash   bytea not null,
    redirect_uris text[] not null,
    scopes        text[] not null,
    created_at    timestamptz not null
);
comment on table access.oauth_clients is 'Applications that may ask users to act for them; a removed one has no row.';
comment on column access.oauth_clients.secret_hash is 'SHA-256 of the secret.';
create unique index oauth_clients_client_id on access.oauth_clients (client_id);

create table access.oauth_grants (
    id         bigint primary key,
    user_id    bigint not null references access.users (id),
    client     bigint not null references access.oauth_clients (id),
    scopes     text[] not null,
    created_at timestamptz not null
);
comment on table access.oauth_grants is 'What users let applications do for them; what is revoked has no row.';
create index oauth_grants_user on access.oauth_grants (user_id);
create index oauth_grants_client on access.oauth_grants (client);

-- What follows is beside the log: a rebuild leaves it alone. Rows of one table name those of
-- others without a constraint, because a rebuild puts other tables in their place.
create table access.sessions (
    id      bigint generated always as identity primary key,
    hash    bytea not null check (length(hash) = 32),
    user_id bigint not null,
    epoch   bigint not null,
    family  bytea,
    seen_at timestamptz not null,
    ends_at timestamptz not null
) with (fillfactor = 70);
comment on table access.sessions is 'Sessions of browsers.';
comment on column access.sessions.hash is 'SHA-256 of what the cookie holds.';
comment on column access.sessions.epoch is 'The user''s session_epoch when his password was looked at.';
comment on column access.sessions.family is 'The remembered log-in that it came of, if any.';
comment on column access.sessions.seen_at is 'Last request, to the minute.';
create unique index sessions_hash on access.sessions (hash);
create index sessions_user on access.sessions (user_id, id);
create index sessions_ends on access.sessions (ends_at);
create index sessions_family on access.sessions (family) where family is not null;

create table access.remembered_logins (
    family     bytea primary key check (length(family) = 32),
    hash       bytea not null,
    previous   bytea,
    rotated_at timestamptz not null,
    user_id    bigint not null,
    epoch      bigint not null,
    ends_at    timestamptz not null
) with (fillfactor = 70);
comment on table access.remembered_logins is 'Browsers that log in by themselves. Each log-in gives the browser another secret.';
comment on column access.remembered_logins.family is 'SHA-256 of the part of the cookie that stays.';
comment on column access.remembered_logins.hash is 'SHA-256 of the part that is changed at each use.';
comment on column access.remembered_logins.previous is 'The hash before: requests that were under way while it changed still bring it.';
create index remembered_logins_user on access.remembered_logins (user_id);
create index remembered_logins_ends on access.remembered_logins (ends_at);

create table access.oauth_codes (
    hash         bytea primary key check (length(hash) = 32),
    grant_id     bigint not null,
    redirect_uri text not null,
    challenge    text not null,
    ends_at      timestamptz not null,
    used         boolean not null default false
);
comment on table access.oauth_codes is 'Authorization codes, by their SHA-256. A used one stays until it ends, so that a second use is noticed.';
create index oauth_codes_ends on access.oauth_codes (ends_at);

create table access.oauth_tokens (
    hash     bytea primary key check (length(hash) = 32),
    grant_id bigint not null,
    refresh  boolean not null,
    ends_at  timestamptz not null,
    used     boolean not null default false
);
comment on table access.oauth_tokens is 'Access and refresh tokens of applications, by their SHA-256. A used refresh token stays until it ends, so that a second use is noticed.';
create index oauth_tokens_grant on access.oauth_tokens (grant_id);
create index oauth_tokens_ends on access.oauth_tokens (ends_at);

grant select, insert, update, delete on access.identities, access.oauth_clients, access.oauth_grants, access.sessions,
    access.remembered_logins, access.oauth_codes, access.oauth_tokens to annal_app;

-- +goose Down
drop table access.oauth_tokens;
drop table access.oauth_codes;
drop table access.remembered_logins;
drop table access.sessions;
drop table access.oauth_grants;
drop table access.oauth_clients;
drop table access.identities;
alter table access.users drop column session_epoch;
drop sequence log.oauth_grant_id;
drop sequence log.oauth_client_id;
