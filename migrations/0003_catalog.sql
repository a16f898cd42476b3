-- +goose Up
create schema catalog;
grant usage on schema catalog to annal_app;

create table catalog.projects (
    id          bigint primary key,
    key         text collate "C" not null,
    name        text not null,
    description text not null,
    public      boolean not null
);
comment on column catalog.projects.key is 'Upper case, so that the unique index ignores case.';
create unique index projects_key on catalog.projects (key);
create unique index projects_name on catalog.projects (lower(name));

create table catalog.repositories (
    id             bigint primary key,
    project_id     bigint not null references catalog.projects (id),
    slug           text collate "C" not null,
    name           text not null,
    description    text not null,
    public         boolean not null,
    forkable       boolean not null,
    default_branch text collate "C" not null,
    storage        text collate "C" not null,
    hierarchy_id   text collate "C" not null
);
comment on column catalog.repositories.project_id is 'The constraint is what refuses to delete a project that still has repositories.';
comment on column catalog.repositories.default_branch is 'Full ref name; the ref may not exist.';
comment on column catalog.repositories.storage is 'UUID of the folder on the shared home.';
comment on column catalog.repositories.hierarchy_id is 'Shared by a repository and its forks.';
create unique index repositories_slug on catalog.repositories (project_id, slug);

create table catalog.deleted_repositories (
    like catalog.repositories,
    deleted_at timestamptz not null,
    primary key (id)
);
comment on table catalog.deleted_repositories is 'Repositories that can be restored. A table of their own, so that no query shows one by mistake; their project may be gone.';

grant select, insert, update, delete on all tables in schema catalog to annal_app;

-- +goose Down
drop schema catalog cascade;
