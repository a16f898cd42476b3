-- +goose Up
create sequence log.lfs_lock_id;
grant usage on sequence log.lfs_lock_id to annal_app;

create schema lfs;
grant usage on schema lfs to annal_app;

create table lfs.lfs_repositories (
    repository bigint primary key,
    project    bigint not null,
    storage    text not null,
    deleted    boolean not null,
    objects    bigint not null,
    bytes      bigint not null
);
comment on table lfs.lfs_repositories is 'What each repository''s own objects are together, and where they lie; deleted ones included.';
create index lfs_repositories_project on lfs.lfs_repositories (project) where not deleted;

create table lfs.lfs_lineage (
    repository bigint not null,
    ancestor   bigint not null,
    until      bigint not null,
    primary key (repository, ancestor)
);
comment on table lfs.lfs_lineage is 'Whose objects a repository has: its own, and those that what it was forked from had until a position.';

create table lfs.lfs_objects (
    repository bigint not null,
    oid        bytea not null check (length(oid) = 32),
    size       bigint not null,
    position   bigint not null,
    primary key (repository, oid)
);
comment on table lfs.lfs_objects is 'Objects that were uploaded to a repository.';
comment on column lfs.lfs_objects.position is 'Of the event that says so.';

create table lfs.lfs_locks (
    id         bigint primary key,
    repository bigint not null,
    path       text not null,
    owner      bigint not null,
    locked_at  timestamptz not null,
    constraint lfs_locks_path unique (repository, path)
);
create index lfs_locks_repository on lfs.lfs_locks (repository, id);

create table lfs.lfs_settings (
    level  text not null check (level in ('project', 'repository')),
    target bigint not null,
    off    boolean not null,
    quota  bigint not null,
    primary key (level, target)
);
comment on column lfs.lfs_settings.quota is 'Bytes; 0 is no limit.';

insert into lfs.lfs_repositories (repository, project, storage, deleted, objects, bytes)
select id, project_id, storage, false, 0, 0 from catalog.repositories
union all select id, project_id, storage, true, 0, 0 from catalog.deleted_repositories;

insert into lfs.lfs_lineage (repository, ancestor, until)
with recursive forks as materialized (
    select r.id, (e.body ->> 'origin')::bigint as origin, e.position
    from (select id from catalog.repositories where origin is not null
        union all select id from catalog.deleted_repositories where origin is not null) r
    join log.events e on e.stream = 'repository/' || r.id and e.type <> 'repository.refs_updated.v1' and e.type = 'repository.forked.v1'
), line as (
    select repository, repository as ancestor, 9223372036854775807::bigint as until from lfs.lfs_repositories
    union all select l.repository, f.origin, least(l.until, f.position) from line l join forks f on f.id = l.ancestor
)
select repository, ancestor, until from line;

grant select, insert, update, delete on all tables in schema lfs to annal_app;

-- Objects and locks decide nothing about who may do what, and there are many of them: they
-- are no decisions, no more than pushes are.
-- +goose StatementBegin
create or replace function log.fresh(of_streams text[], after_versions bigint[], after_positions bigint[], decided_after bigint, most int)
returns table (n bigint, "position" bigint, stream text, version bigint, at timestamptz, id uuid, type text, body text)
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
begin
    for i in 1 .. cardinality(of_streams) loop
        if exists (select from log.events e
            where e.stream = of_streams[i] collate "C" and e.version > after_versions[i] and e.position > after_positions[i])
        then
            return query
                select i::bigint, e.position, e.stream, e.version, e.at, e.id, e.type, e.body::text from log.events e
                where e.stream = of_streams[i] collate "C" and e.version > after_versions[i] and e.position > after_positions[i]
                order by e.version;
        end if;
    end loop;
    if exists (select from log.events e where e.position > decided_after) then
        return query
            select 0::bigint, e.position, e.stream, e.version, e.at, e.id, e.type, null::text from log.events e
            where e.position > decided_after and e.type <> 'repository.refs_updated.v1'
                and e.type not in ('lfs.object_added.v1', 'lfs.locked.v1', 'lfs.unlocked.v1')
            order by e.position desc limit most;
    end if;
end
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
create or replace function log.fresh(of_streams text[], after_versions bigint[], after_positions bigint[], decided_after bigint, most int)
returns table (n bigint, "position" bigint, stream text, version bigint, at timestamptz, id uuid, type text, body text)
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
begin
    for i in 1 .. cardinality(of_streams) loop
        if exists (select from log.events e
            where e.stream = of_streams[i] collate "C" and e.version > after_versions[i] and e.position > after_positions[i])
        then
            return query
                select i::bigint, e.position, e.stream, e.version, e.at, e.id, e.type, e.body::text from log.events e
                where e.stream = of_streams[i] collate "C" and e.version > after_versions[i] and e.position > after_positions[i]
                order by e.version;
        end if;
    end loop;
    if exists (select from log.events e where e.position > decided_after) then
        return query
            select 0::bigint, e.position, e.stream, e.version, e.at, e.id, e.type, null::text from log.events e
            where e.position > decided_after and e.type <> 'repository.refs_updated.v1'
            order by e.position desc limit most;
    end if;
end
$$;
-- +goose StatementEnd
drop schema lfs cascade;
drop sequence log.lfs_lock_id;
