-- +goose Up
create extension if not exists pg_trgm with schema public;
create schema reposearch;
grant usage on schema reposearch to annal_app;

create table reposearch.repository_names (
    repository bigint primary key,
    project    bigint not null,
    name       text not null,
    slug       text not null,
    deleted    boolean not null default false
);
comment on table reposearch.repository_names is 'Names to search repositories by. Follows the log asynchronously.';
create index repository_names_name on reposearch.repository_names using gin (lower(name) gin_trgm_ops);

grant select, insert, update, delete on all tables in schema reposearch to annal_app;

-- +goose Down
drop schema reposearch cascade;
-- The extension stays: it may have been there before.
