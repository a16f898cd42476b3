-- +goose Up
-- The first page of a list must not sort all of it, nor look for what is public everywhere.
create index projects_order on catalog.projects ((lower(name) collate "C"), id);
create index repositories_order on catalog.repositories ((lower(name) collate "C"), id);
create index repositories_public on catalog.repositories (project_id) where public;
create index deleted_repositories_order on catalog.deleted_repositories (deleted_at desc, id);
-- A search looks at names and slugs, and uses an index only if both have one.
create index repository_names_slug on reposearch.repository_names using gin (slug gin_trgm_ops);

-- +goose Down
drop index reposearch.repository_names_slug;
drop index catalog.deleted_repositories_order;
drop index catalog.repositories_public;
drop index catalog.repositories_order;
drop index catalog.projects_order;
