-- +goose Up
create schema access;
grant usage on schema access to annal_app;

create table access.users (
    id               bigint primary key,
    name             text collate "C" not null,
    slug             text collate "C" not null,
    display_name     text not null,
    email            text not null,
    type             text not null,
    active           boolean not null default true,
    set_up           boolean not null default false,
    password_hash    text,
    password_version bigint not null default 0
);
comment on column access.users.set_up is 'Made by the first set-up, of which there is one.';
comment on column access.users.password_hash is 'PHC string; null for a user who cannot log in with a password.';
comment on column access.users.password_version is 'Position of the event that set the password: nodes check what they remember of a password against it.';
create unique index users_name on access.users (lower(name));
create unique index users_slug on access.users (slug);
create unique index users_set_up on access.users (set_up) where set_up;

create table access.tokens (
    id          bigint primary key,
    user_id     bigint not null references access.users (id),
    name        text not null,
    hash        bytea not null,
    permissions text[] not null,
    created_at  timestamptz not null,
    expires_at  timestamptz
);
comment on table access.tokens is 'Live personal access tokens; a revoked one has no row.';
comment on column access.tokens.hash is 'SHA-256 of the token.';
create unique index tokens_hash on access.tokens (hash);
create index tokens_user on access.tokens (user_id);

create table access.grants (
    user_id    bigint not null references access.users (id),
    level      text not null check (level in ('global', 'project', 'repository')),
    target     bigint not null,
    permission text not null,
    rank       smallint not null,
    primary key (user_id, level, target)
);
comment on column access.grants.target is 'Id of the project or repository, 0 for global permissions.';
comment on column access.grants.rank is 'Strength of the permission among those of its level: 1 is the weakest.';
create index grants_target on access.grants (level, target);

grant select, insert, update, delete on all tables in schema access to annal_app;

-- +goose Down
drop schema access cascade;
