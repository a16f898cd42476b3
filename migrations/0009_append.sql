-- +goose Up
-- Events in partitions by position: old ones can be sealed, moved to cheap disks and
-- detached, and the indexes that appends touch stay small enough to be in memory.
alter table log.events rename to events_1;
alter index log.events_pkey rename to events_1_pkey;
alter index log.events_stream rename to events_1_stream;
alter index log.events_settings rename to events_1_settings;
drop index log.events_id;
create table log.events (
    position bigint not null primary key,
    version  bigint not null,
    at       timestamptz not null,
    id       uuid not null,
    stream   text collate "C" not null,
    type     text collate "C" not null,
    body     json not null,
    meta     json not null
) partition by range (position);
alter table log.events attach partition log.events_1 for values from (1) to (16777217);
comment on table log.events is 'Everything that ever happened, append-only. Positions are dense, from 1, in commit order.';
comment on column log.events.id is 'The push or command that caused the event; events of one command share it.';
comment on column log.events.body is 'Canonical JSON (RFC 8785), kept byte for byte: json, not jsonb, because jsonb rewrites it.';
comment on column log.events.meta is 'Canonical JSON: actor, how authenticated, request, node, and commitments to the personal data kept beside the log.';
create trigger events_append_only before update or delete or truncate on log.events
    for each statement execute function log.refuse_change();
grant select, insert on log.events to annal_app;

create table log.partitions (
    first bigint primary key,
    last  bigint not null
);
comment on table log.partitions is 'Ranges of positions, both ends included; that of the partition log.events_N starts at N.';
insert into log.partitions values (1, 16777216);
grant select on log.partitions to annal_app;

-- A table that is attached takes a lighter lock on the log than one that is made as a
-- partition: appends and readers go on. Nodes may not make tables, so this works with
-- its owner's rights.
-- +goose StatementBegin
create function log.extend() returns void language plpgsql security definer set search_path = pg_catalog as $$
declare
    newest log.partitions;
    name   text;
begin
    lock table log.partitions in share row exclusive mode;
    select * into newest from log.partitions order by first desc limit 1;
    if not exists (select from log.events where position > newest.last - (newest.last - newest.first + 1) / 2) then
        return; -- another node has done it, or it is too early
    end if;
    newest := (newest.last + 1, newest.last + 1 + (newest.last - newest.first));
    name := 'events_' || newest.first;
    execute format('create table log.%I (like log.events including comments, check (position between %s and %s))', name, newest.first, newest.last);
    execute format('alter table log.%I add constraint %I primary key (position)', name, name || '_pkey');
    execute format('create unique index %I on log.%I (stream, version)', name || '_stream', name);
    execute format('create index %I on log.%I (stream, version) where type <> ''repository.refs_updated.v1''', name || '_settings', name);
    execute format('create trigger events_append_only before update or delete or truncate on log.%I for each statement execute function log.refuse_change()', name);
    execute format('alter table log.events attach partition log.%I for values from (%s) to (%s)', name, newest.first, newest.last + 1);
    insert into log.partitions values (newest.first, newest.last);
end
$$;
-- +goose StatementEnd
revoke execute on function log.extend() from public;
grant execute on function log.extend() to annal_app;

-- The version of a stream is that of its newest event: no row of its own to keep.
drop table log.heads;
-- A constraint is compiled anew by every append.
alter table log.personal drop constraint personal_part_check;
-- Erasing is rare and may look at every row; an index would cost every push.
drop index log.personal_subject;

-- One call appends a batch of events, decided already: a lone push takes one round trip.
-- It takes the append lock, and each statement after it sees what the appends before it
-- committed. horizon is a position that the caller knows to be in the log: nothing older
-- is looked at. The batch must fit between first and last, both included: the positions of
-- one partition, whose unique index then refuses versions that were given to others since
-- the caller looked at the streams, if he did so after that partition began.
-- wake tells the listeners of other nodes.
-- Returns the position before the batch and its time in microseconds since 1970.
-- Errors: AN001 the batch would begin before first or end behind last; AN002 the log ends before horizon;
-- unique_violation a stream has moved; check_violation the newest partition is full.
-- +goose StatementBegin
create function log.append(
    horizon bigint, first bigint, last bigint, wake boolean,
    streams text[], versions bigint[], ids uuid[], types text[], bodies text[], metas text[],
    personal_events int[], parts text[], subjects bigint[], salts bytea[], data bytea[]
) returns bigint[] language plpgsql as $$
declare
    n constant int := cardinality(streams);
    base bigint;
    moment timestamptz;
    nothing text; -- assignments take less time than statements
begin
    nothing := pg_advisory_xact_lock(418464555372);
    -- From the index and not from a counter row, of which every old snapshot would keep
    -- all versions. Time never goes back along the log.
    select e.position, greatest(e.at, clock_timestamp()) into base, moment
    from log.events e where e.position >= horizon order by e.position desc limit 1;
    if base is null then
        if horizon > 0 then
            raise exception 'the log ends before position %', horizon using errcode = 'AN002';
        end if;
        base := 0;
        moment := clock_timestamp();
    end if;
    if base + 1 < first or base + n > last then
        raise exception 'positions % to % are not of that partition', base + 1, base + n using errcode = 'AN001';
    end if;
    if n = 1 then
        insert into log.events (position, version, at, id, stream, type, body, meta)
        values (base + 1, versions[1], moment, ids[1], streams[1], types[1], bodies[1]::json, metas[1]::json);
    else
        insert into log.events (position, version, at, id, stream, type, body, meta)
        select base + e.n, e.version, moment, e.id, e.stream, e.type, e.body::json, e.meta::json
        from unnest(streams, versions, ids, types, bodies, metas) with ordinality as e (stream, version, id, type, body, meta, n);
    end if;
    if cardinality(parts) = 1 then
        insert into log.personal (position, part, subject, salt, data)
        values (base + personal_events[1], parts[1], subjects[1], salts[1], data[1]);
    elsif cardinality(parts) > 1 then
        insert into log.personal (position, part, subject, salt, data)
        select base + p.event, p.part, p.subject, p.salt, p.data
        from unnest(personal_events, parts, subjects, salts, data) as p (event, part, subject, salt, data);
    end if;
    if wake then -- once a batch: a notification costs every listener, and a lock at commit
        nothing := pg_notify('annal_log', (base + n)::text);
    end if;
    return array[base, extract(epoch from moment) * 1000000];
end
$$;
-- +goose StatementEnd
comment on function log.append is 'Appends a batch of events under the append lock.';

-- What a stream holds behind a version, asked before every use of what a node keeps in
-- memory. The plan is made once and leaves out old partitions when it runs; without that
-- each call would be planned for its own values.
-- +goose StatementBegin
create function log.tail(of_stream text, after_version bigint, after_position bigint)
returns table ("position" bigint, version bigint, at timestamptz, id uuid, type text, body json)
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
begin
    return query
        select e.position, e.version, e.at, e.id, e.type, e.body from log.events e
        where e.stream = of_stream collate "C" and e.version > after_version and e.position > after_position
        order by e.version;
end
$$;
-- +goose StatementEnd

-- Refs follow the log and are read together with what they have not seen of it yet, so a
-- push writes nothing but its event.
insert into projections.checkpoints (projection, position)
select 'refs', coalesce(max(position), 0) from log.events
on conflict (projection) do nothing;
drop index refs.refs_changed;
delete from refs.refs where id = '\x0000000000000000000000000000000000000000';
alter table refs.refs drop column version;
comment on table refs.refs is 'Where each ref pointed at the version of its repository''s row.';
comment on table refs.repository_state is 'One row a repository. Its refs and packs are as of version; what the stream holds behind that is read from the log.';
comment on column refs.repository_state.version is 'Version of the repository''s stream up to which its rows have followed it.';
drop index refs.packs_since;
alter table refs.packs drop column version;
drop table refs.ref_history;

-- +goose Down
create table log.heads (
    stream  text collate "C" primary key,
    version bigint not null
) with (fillfactor = 70);
insert into log.heads select stream, max(version) from log.events group by stream;
grant select, insert, update on log.heads to annal_app;
create index personal_subject on log.personal (subject);
drop function log.append;
drop function log.tail;
drop function log.extend;

create table log.events_flat (like log.events including comments);
insert into log.events_flat select * from log.events order by position;
drop table log.events;
drop table log.partitions;
alter table log.events_flat rename to events;
alter table log.events add primary key (position);
create unique index events_stream on log.events (stream, version);
create index events_id on log.events (id);
create index events_settings on log.events (stream, version) where type <> 'repository.refs_updated.v1';
create trigger events_append_only before update or delete or truncate on log.events
    for each statement execute function log.refuse_change();
grant select, insert on log.events to annal_app;

delete from projections.checkpoints where projection = 'refs';
alter table refs.refs add column version bigint;
update refs.refs r set version = s.version from refs.repository_state s where s.repository = r.repository;
alter table refs.refs alter column version set not null;
create index refs_changed on refs.refs (repository, version);
alter table refs.packs add column version bigint;
update refs.packs p set version = s.version from refs.repository_state s where s.repository = p.repository;
alter table refs.packs alter column version set not null;
create index packs_since on refs.packs (repository, version);
create table refs.ref_history (
    repository bigint not null,
    name       text collate "C" not null,
    position   bigint not null,
    id         bytea not null,
    peeled     bytea,
    forced     boolean not null,
    primary key (repository, name, position)
);
grant select, insert, update, delete on refs.ref_history to annal_app;
