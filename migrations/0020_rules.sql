-- +goose Up
create sequence log.rule_id;
create sequence log.secret_rule_id;
create sequence log.gpg_key_id;
grant usage on sequence log.rule_id, log.secret_rule_id, log.gpg_key_id to annal_app;

create schema rules;
grant usage on schema rules to annal_app;

create table rules.rule_states (
    level  text not null check (level in ('project', 'repository')),
    target bigint not null,
    state  text not null,
    primary key (level, target)
);
comment on table rules.rule_states is 'Branch permissions, branch model and push rules of each project and repository that has any.';
comment on column rules.rule_states.state is 'JSON as the domain writes it: it is read whole, by the program alone.';

create table rules.ruled_repositories (
    repository bigint primary key,
    project    bigint not null
);
comment on table rules.ruled_repositories is 'Which project''s rules hold for a repository, deleted ones included.';
insert into rules.ruled_repositories (repository, project)
select id, project_id from catalog.repositories union all select id, project_id from catalog.deleted_repositories;

create table rules.rule_epoch (
    one      boolean primary key default true check (one),
    position bigint not null
);
comment on table rules.rule_epoch is 'Position of the newest event about the rules of a project: a push that was decided by older ones is not appended. No row: there is none.';

grant select, insert, update, delete on all tables in schema rules to annal_app;

create schema gpgkeys;
grant usage on schema gpgkeys to annal_app;
create table gpgkeys.gpg_keys (
    id      bigint primary key,
    user_id bigint not null,
    details text not null
);
comment on table gpgkeys.gpg_keys is 'GPG keys of users; a removed one has no row.';
comment on column gpgkeys.gpg_keys.details is 'JSON as the domain writes it: fingerprints, e-mail address, the key itself.';
create index gpg_keys_user on gpgkeys.gpg_keys (user_id);
grant select, insert, update, delete on gpgkeys.gpg_keys to annal_app;
create index users_email on access.users (lower(email));

-- The appends of pushes, which are decided by the rules of projects up to the position
-- ruled. They refuse what is decided by older rules than there are, under the append lock
-- that the events about rules take, too. Those of a repository's own rules need no check:
-- they are versions of its stream.
-- +goose StatementBegin
create function log.append_one(
    horizon bigint, first bigint, last bigint, wake boolean,
    stream text, version bigint, id uuid, type text, body text, meta text,
    part text, subject bigint, salt bytea, data bytea, ruled bigint
) returns bigint[] language plpgsql as $$
#variable_conflict use_column
declare
    taken bigint;
    moment timestamptz;
    nothing text; -- assignments take less time than statements
begin
    nothing := pg_advisory_xact_lock(418464555372);
    if part is null then
        insert into log.events (position, version, at, id, stream, type, body, meta)
        select e.position + 1, append_one.version, greatest(e.at, clock_timestamp()), append_one.id, append_one.stream,
            append_one.type, append_one.body::json, append_one.meta::json
        from (select e.position, e.at from log.events e where e.position >= horizon order by e.position desc limit 1) e
        where e.position + 1 between first and last and not exists (select from rules.rule_epoch r where r.position > ruled)
        returning events.position, events.at into taken, moment;
    else
        with event as (
            insert into log.events (position, version, at, id, stream, type, body, meta)
            select e.position + 1, append_one.version, greatest(e.at, clock_timestamp()), append_one.id, append_one.stream,
                append_one.type, append_one.body::json, append_one.meta::json
            from (select e.position, e.at from log.events e where e.position >= horizon order by e.position desc limit 1) e
            where e.position + 1 between first and last and not exists (select from rules.rule_epoch r where r.position > ruled)
            returning events.position, events.at
        ), personal as (
            insert into log.personal (position, part, subject, salt, data)
            select event.position, append_one.part, append_one.subject, append_one.salt, append_one.data from event
        )
        select event.position, event.at from event into taken, moment;
    end if;
    if taken is null then
        return null;
    end if;
    if wake then
        nothing := pg_notify('annal_log', taken::text);
    end if;
    return array[taken - 1, extract(epoch from moment) * 1000000];
end
$$;
-- +goose StatementEnd
comment on function log.append_one(bigint, bigint, bigint, boolean, text, bigint, uuid, text, text, text, text, bigint, bytea, bytea, bigint)
    is 'Appends one event under the append lock, or does nothing and returns null.';

-- +goose StatementBegin
create function log.append(
    horizon bigint, first bigint, last bigint, wake boolean,
    streams text[], versions bigint[], ids uuid[], types text[], bodies text[], metas text[],
    personal_events int[], parts text[], subjects bigint[], salts bytea[], data bytea[], ruled bigint
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
    if exists (select from rules.rule_epoch r where r.position > ruled) then
        raise exception 'decided by rules of projects up to position %, and there are newer ones', ruled using errcode = 'AN003';
    end if;
    if base + 1 < first or base + n > last then
        raise exception 'positions % to % are not of that partition', base + 1, base + n using errcode = 'AN001';
    end if;
    -- Sets in the list of a select run side by side, without a copy of each on the way.
    if n = 1 then
        insert into log.events (position, version, at, id, stream, type, body, meta)
        values (base + 1, versions[1], moment, ids[1], streams[1], types[1], bodies[1]::json, metas[1]::json);
    else
        insert into log.events (position, version, at, id, stream, type, body, meta)
        select base + generate_series(1, n), unnest(versions), moment, unnest(ids), unnest(streams), unnest(types),
            unnest(bodies)::json, unnest(metas)::json;
    end if;
    if cardinality(parts) = 1 then
        insert into log.personal (position, part, subject, salt, data)
        values (base + personal_events[1], parts[1], subjects[1], salts[1], data[1]);
    elsif cardinality(parts) > 1 then
        insert into log.personal (position, part, subject, salt, data)
        select base + unnest(personal_events), unnest(parts), unnest(subjects), unnest(salts), unnest(data);
    end if;
    if wake then -- once a batch: a notification costs every listener, and a lock at commit
        nothing := pg_notify('annal_log', (base + n)::text);
    end if;
    return array[base, extract(epoch from moment) * 1000000];
end
$$;
-- +goose StatementEnd

-- +goose Down
drop function log.append(bigint, bigint, bigint, boolean, text[], bigint[], uuid[], text[], text[], text[], int[], text[], bigint[], bytea[], bytea[], bigint);
drop function log.append_one(bigint, bigint, bigint, boolean, text, bigint, uuid, text, text, text, text, bigint, bytea, bytea, bigint);
drop index access.users_email;
drop schema gpgkeys cascade;
drop schema rules cascade;
drop sequence log.gpg_key_id;
drop sequence log.secret_rule_id;
drop sequence log.rule_id;
