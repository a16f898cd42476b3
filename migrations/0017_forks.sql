-- +goose Up
-- A fork begins with the packs of another repository, which stay in that one's folder.
alter table catalog.repositories add column origin bigint;
comment on column catalog.repositories.origin is 'Repository that it was forked from; null if it was not.';
create index repositories_origin on catalog.repositories (origin) where origin is not null;
create index repositories_hierarchy on catalog.repositories (hierarchy_id);
alter table catalog.deleted_repositories add column origin bigint;

alter table refs.repository_state add column fork boolean not null default false;
comment on column refs.repository_state.fork is 'Its packs hold objects of another repository, which its refs need not reach: a push must not be believed to have had them.';
alter table refs.packs add column storage text not null default '';
comment on column refs.packs.storage is 'Folder that the pack lies in if it is that of another repository: whoever removes files of packs asks here who else lists them.';

-- +goose Down
alter table refs.packs drop column storage;
alter table refs.repository_state drop column fork;
alter table catalog.deleted_repositories drop column origin;
drop index catalog.repositories_hierarchy;
drop index catalog.repositories_origin;
alter table catalog.repositories drop column origin;
