-- +goose Up
-- Packs are combined into others, and the files of those that no repository lists removed.
alter table refs.packs add column bitmap bigint not null default 0;
comment on table refs.packs is 'Which packs a repository is read from; bitmap is the size of the .bitmap file beside one in bytes, 0 if there is none. The shared home is never listed to find out.';
create index packs_id on refs.packs (pack);
alter table refs.repository_state add column removed bigint not null default 0;
comment on column refs.repository_state.removed is 'Version of the stream at which files of packs were last removed: a push that began before must look whether its own are still there.';

create table workers.maintenance (
    repository bigint primary key,
    requested  timestamptz,
    started    timestamptz,
    finished   timestamptz,
    node       text not null default '',
    job        text not null default '',
    outcome    text not null default '',
    failures   int not null default 0,
    full_at    timestamptz,
    swept_at   timestamptz,
    refs_version bigint not null default 0
);
comment on table workers.maintenance is 'What maintenance has done to each repository, and what it was asked for.';
comment on column workers.maintenance.full_at is 'When all packs were last combined into one.';
comment on column workers.maintenance.refs_version is 'Version of the stream as of which refs were last written beside the objects, for plain git.';
comment on column workers.maintenance.swept_at is 'When the folder of packs on the shared home was last looked through for files that no repository lists.';
create index maintenance_requested on workers.maintenance (requested) where requested is not null;

create table workers.unlisted (
    repository bigint not null,
    name       text collate "C" not null,
    storage    text not null,
    pack       bytea check (length(pack) = 20),
    superseded boolean not null,
    seen_at    timestamptz not null default clock_timestamp(),
    asked_at   timestamptz,
    trash      text,
    removed_at timestamptz,
    primary key (repository, name)
);
comment on table workers.unlisted is 'Files on the shared home that no repository lists, on their way to the trash and out of it.';
comment on column workers.unlisted.name is 'Of a pack without its suffix, or of a file of the staging area, relative to the folder of the repository.';
comment on column workers.unlisted.superseded is 'The repository listed it once; else no event ever named it.';
comment on column workers.unlisted.seen_at is 'Since when it is known not to be listed.';
comment on column workers.unlisted.asked_at is 'Since when every live node is asked whether it still reads it.';
comment on column workers.unlisted.trash is 'Folder in the trash of the repository that it is moved to.';
comment on column workers.unlisted.removed_at is 'When the log said that it is gone. Until then it may have to be put back.';
create index unlisted_asked on workers.unlisted (asked_at) where asked_at is not null and trash is null;

create table workers.unlisted_answers (
    repository bigint not null,
    name       text collate "C" not null,
    node       uuid not null,
    primary key (repository, name, node)
);
comment on table workers.unlisted_answers is 'Nodes that do not read an unlisted pack any more.';

create table workers.pack_readers (
    node    uuid primary key,
    seen_at timestamptz not null default clock_timestamp()
) with (fillfactor = 10);
comment on table workers.pack_readers is 'Processes that read packs, and when they last said so.';

grant select, insert, update, delete on workers.maintenance, workers.pack_readers, workers.unlisted, workers.unlisted_answers to annal_app;

-- +goose Down
drop table workers.pack_readers;
drop table workers.unlisted_answers;
drop table workers.unlisted;
drop table workers.maintenance;
alter table refs.repository_state drop column removed;
drop index refs.packs_id;
comment on table refs.packs is 'Which packs a repository has. The shared home is never listed to find out.';
alter table refs.packs drop column bitmap;
