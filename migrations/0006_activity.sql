-- +goose Up
create schema activity;
grant usage on schema activity to annal_app;

create table activity.repository_activity (
    repository bigint not null,
    position   bigint not null,
    at         timestamptz not null,
    actor      bigint not null,
    type       text not null,
    refs       int not null default 0,
    forced     int not null default 0,
    primary key (repository, position)
);
comment on table activity.repository_activity is 'What happened to each repository, newest at the end. Follows the log asynchronously.';
comment on column activity.repository_activity.actor is 'User id; the name belongs to a view that can forget it.';
comment on column activity.repository_activity.forced is 'How many of the refs were moved without containing what they named before.';

grant select, insert, update, delete on all tables in schema activity to annal_app;

-- +goose Down
drop schema activity cascade;
