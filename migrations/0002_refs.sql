-- +goose Up
create schema refs;
grant usage on schema refs to annal_app;

create table refs.repository_state (
    repository bigint primary key,
    storage    text not null,
    head       text not null,
    deleted    boolean not null default false,
    version    bigint not null,
    position   bigint not null
) with (fillfactor = 70);
comment on table refs.repository_state is 'One row a repository: what a node compares before it serves from its cache.';
comment on column refs.repository_state.version is 'Version of the repository''s stream; caches are checked against it.';

create table refs.refs (
    repository bigint not null,
    name       text collate "C" not null,
    id         bytea not null check (length(id) = 20),
    peeled     bytea check (length(peeled) = 20),
    version    bigint not null,
    primary key (repository, name)
) with (fillfactor = 70);
comment on table refs.refs is 'Where each ref points. A deleted ref keeps its row with the zero id, so that caches can ask what changed since a version.';
create index refs_changed on refs.refs (repository, version);

create table refs.ref_history (
    repository bigint not null,
    name       text collate "C" not null,
    position   bigint not null,
    id         bytea not null,
    peeled     bytea,
    forced     boolean not null,
    primary key (repository, name, position)
);
comment on table refs.ref_history is 'Every value each ref ever had, for the view of a repository as of a position.';

create table refs.packs (
    repository bigint not null,
    pack       bytea not null check (length(pack) = 20),
    position   bigint not null,
    version    bigint not null,
    objects    bigint not null,
    bytes      bigint not null,
    primary key (repository, pack)
);
comment on table refs.packs is 'Which packs a repository has. The shared home is never listed to find out.';
create index packs_since on refs.packs (repository, version);

grant select, insert, update, delete on all tables in schema refs to annal_app;

-- +goose Down
drop schema refs cascade;
