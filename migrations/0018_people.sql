-- +goose Up
create sequence log.group_id;
grant usage on sequence log.group_id to annal_app;

create table access.groups (
    id   bigint primary key,
    name text not null
);
create unique index groups_name on access.groups (lower(name));

create table access.group_users (
    group_id bigint not null references access.groups (id),
    user_id  bigint not null references access.users (id),
    primary key (group_id, user_id)
);
comment on table access.group_users is 'Users directly in a group.';
create index group_users_user on access.group_users (user_id);

create table access.group_groups (
    group_id bigint not null references access.groups (id),
    child_id bigint not null references access.groups (id),
    primary key (group_id, child_id)
);
comment on table access.group_groups is 'Groups directly in a group. Without circles: the projection refuses them.';
create index group_groups_child on access.group_groups (child_id);

create table access.memberships (
    user_id  bigint not null references access.users (id),
    group_id bigint not null references access.groups (id),
    primary key (user_id, group_id)
);
comment on table access.memberships is 'Users in a group, directly or by way of other groups: what follows from group_users and group_groups, kept so that judging a request walks no tree.';
create index memberships_group on access.memberships (group_id);

create table access.group_grants (
    group_id   bigint not null references access.groups (id),
    level      text not null check (level in ('global', 'project', 'repository')),
    target     bigint not null,
    permission text not null,
    rank       smallint not null,
    primary key (group_id, level, target)
);
comment on column access.group_grants.target is 'Id of the project or repository, 0 for global permissions.';
create index group_grants_target on access.group_grants (level, target);

create table access.project_defaults (
    project    bigint primary key,
    permission text not null,
    rank       smallint not null
);
comment on table access.project_defaults is 'What everybody who holds a global permission may do with a project.';

-- Not derived from the log, and nothing that the log need remember: attempts to log in. An
-- unlogged table costs a crash its counts and no log-in a wait for the disk.
create unlogged table access.login_failures (
    key      bytea primary key check (length(key) = 32),
    failures int not null,
    free     int not null,
    most     int not null,
    last     timestamptz not null,
    until    timestamptz not null
) with (fillfactor = 50);
comment on table access.login_failures is 'Wrong passwords by account, by address and by both. Rows that nothing was added to for an hour count for nothing.';
comment on column access.login_failures.key is 'SHA-256 of what is counted.';
comment on column access.login_failures.free is 'Failures without a wait; after those it doubles from a second to "most" seconds.';
create index login_failures_last on access.login_failures (last);

create table access.known_addresses (
    key  bytea primary key check (length(key) = 32),
    last timestamptz not null
);
comment on table access.known_addresses is 'From where who has logged in.';
comment on column access.known_addresses.key is 'SHA-256 of the salted hash of the password and the address: who the row is about cannot be found out once the password has been changed or the user erased.';
create index known_addresses_last on access.known_addresses (last);

grant select, insert, update, delete on all tables in schema access to annal_app;

-- The one place that says what a user holds: by himself, by his groups, by default. Written
-- such that the planner puts it into the query that asks, conditions and all. via is the group,
-- 0 for the user himself, null for the default.
-- +goose StatementBegin
create function access.holdings(who bigint) returns table (level text, target bigint, rank smallint, permission text, via bigint)
language sql stable parallel safe as $$
    select g.level, g.target, g.rank, g.permission, 0::bigint from access.grants g where g.user_id = who
    union all
    select g.level, g.target, g.rank, g.permission, g.group_id
    from access.group_grants g join access.memberships m on m.group_id = g.group_id where m.user_id = who
    union all
    select 'project', d.project, d.rank, d.permission, null from access.project_defaults d
    where exists (select from access.grants g where g.user_id = who and g.level = 'global')
        or exists (select from access.group_grants g join access.memberships m on m.group_id = g.group_id
            where m.user_id = who and g.level = 'global')
$$;
-- +goose StatementEnd

-- +goose Down
drop function access.holdings(bigint);
drop table access.known_addresses;
drop table access.login_failures;
drop table access.project_defaults;
drop table access.group_grants;
drop table access.memberships;
drop table access.group_groups;
drop table access.group_users;
drop table access.groups;
drop sequence log.group_id;
