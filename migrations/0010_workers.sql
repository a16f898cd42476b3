-- +goose Up
create schema workers;
grant usage on schema workers to annal_app;

create table workers.leases (
    name    text collate "C" primary key,
    owner   text not null,
    term    bigint not null,
    expires timestamptz not null
) with (fillfactor = 10);
comment on table workers.leases is 'Who does the work of which there may be one in the cluster. A lease whose time has passed may be taken; the clock is the database''s.';
comment on column workers.leases.term is 'Rises with every change of owner. Whoever works under a lease has its writes refused once a later term has written.';

create table workers.owners (
    owner   text collate "C" primary key,
    wants   text[] not null,
    expires timestamptz not null
) with (fillfactor = 10);
comment on table workers.owners is 'Who is ready to take which leases, so that they can be shared out evenly.';

grant select, insert, update, delete on all tables in schema workers to annal_app;

create table projections.runners (
    projection text not null,
    shard      int not null,
    shards     int not null,
    term       bigint not null default 0,
    clean      boolean not null default true,
    trying     bigint,
    attempts   int not null default 0,
    acted      bigint not null default 0,
    error      text,
    primary key (projection, shard)
);
comment on table projections.runners is 'Who may move which part of an asynchronous projection, and what it stumbles over.';
comment on column projections.runners.term is 'Of the lease under which it is moved: a lower term moves nothing.';
comment on column projections.runners.clean is 'The last owner stopped in good order. If not, it may have died of an event, and the next page goes event by event.';
comment on column projections.runners.trying is 'Event that is being tried alone, counted in attempts before each try, so that one which kills the process is counted, too.';
comment on column projections.runners.acted is 'Position of the last decision of an operator that was carried out on an event which had stopped the projection.';
insert into projections.runners (projection, shard, shards) select projection, 0, 1 from projections.checkpoints;

-- Moved hundreds of times a second, a row would leave hundreds of dead versions behind
-- for each to step over as long as somebody holds an old snapshot, as a dump does. So
-- the position is part of the key, and the newest is found at the end of the index.
alter table projections.checkpoints add column shard int not null default 0;
alter table projections.checkpoints drop constraint checkpoints_pkey;
alter table projections.checkpoints add primary key (projection, shard, position);
alter table projections.checkpoints drop column error;
comment on table projections.checkpoints is 'Up to which position each asynchronous projection has read, one live row for each shard. Moves in the transaction that moves its rows.';

alter table projections.parked add column shard int not null default 0;
create index parked_stream on projections.parked (projection, shard, stream, position);

-- +goose StatementBegin
create function projections.advance(name text, part int, mine bigint, old bigint, new bigint) returns void language plpgsql as $$
begin
    -- A lock leaves no dead version. It ends with the transaction that moves the rows.
    perform from projections.runners where projection = name and shard = part and term = mine for no key update;
    if not found then
        raise exception 'another term moves % now', name using errcode = 'AN101';
    end if;
    delete from projections.checkpoints where projection = name and shard = part and position = old;
    if not found then
        raise exception '% is not at position % any more', name, old using errcode = 'AN101';
    end if;
    insert into projections.checkpoints (projection, shard, position) values (name, part, new);
end
$$;
-- +goose StatementEnd
comment on function projections.advance is 'Moves a checkpoint, or refuses the transaction because another owner or a rebuild has moved it (AN101).';

grant select, insert, update, delete on projections.runners to annal_app;

create schema refhistory;
grant usage on schema refhistory to annal_app;
create table refhistory.ref_history (
    repository bigint not null,
    name       text collate "C" not null,
    position   bigint not null,
    id         bytea not null check (length(id) = 20),
    peeled     bytea check (length(peeled) = 20),
    forced     boolean not null,
    primary key (repository, name, position)
);
comment on table refhistory.ref_history is 'Every value each ref ever had, for the view of a repository as of a position. A deleted ref has the zero id.';
grant select, insert, update, delete on refhistory.ref_history to annal_app;

-- +goose Down
drop schema refhistory cascade;
drop function projections.advance;
drop index projections.parked_stream;
delete from projections.parked where shard <> 0;
alter table projections.parked drop column shard;
delete from projections.checkpoints where shard <> 0;
alter table projections.checkpoints add column error text;
alter table projections.checkpoints drop constraint checkpoints_pkey;
alter table projections.checkpoints drop column shard;
alter table projections.checkpoints add primary key (projection);
drop table projections.runners;
drop schema workers cascade;
