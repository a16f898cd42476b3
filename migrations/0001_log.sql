-- +goose Up
-- The role every node works as. It is not a login: nodes log in as they are told
-- to and step down to it, so that nothing they run can change what was logged.
-- +goose StatementBegin
do $$
begin
    if not exists (select from pg_roles where rolname = 'annal_app') then
        create role annal_app nologin;
    end if;
exception
    -- Roles belong to the whole server: another database of it may be migrating too.
    when duplicate_object or unique_violation then null;
end
$$;
-- +goose StatementEnd
-- +goose StatementBegin
do $$
begin
    if not pg_has_role(current_user, 'annal_app', 'member') then
        execute format('grant annal_app to %I', current_user);
    end if;
end
$$;
-- +goose StatementEnd

create schema log;
grant usage on schema log to annal_app;

create table log.events (
    position bigint not null primary key,
    version  bigint not null,
    at       timestamptz not null,
    id       uuid not null,
    stream   text collate "C" not null,
    type     text collate "C" not null,
    body     json not null,
    meta     json not null
);
comment on table log.events is 'Everything that ever happened, append-only. Positions are dense, from 1, in commit order.';
comment on column log.events.id is 'The push or command that caused the event; events of one command share it. Finds a commit whose acknowledgement was lost.';
comment on column log.events.body is 'Canonical JSON (RFC 8785), kept byte for byte: json, not jsonb, because jsonb rewrites it.';
comment on column log.events.meta is 'Canonical JSON: actor, how authenticated, request, node, and commitments to the personal data kept beside the log.';
create unique index events_stream on log.events (stream, version);
create index events_id on log.events (id);
create index events_settings on log.events (stream, version) where type <> 'repository.refs_updated.v1';
comment on index log.events_settings is 'Folding a repository for an administrative command must not read its pushes.';

create table log.heads (
    stream  text collate "C" primary key,
    version bigint not null
) with (fillfactor = 70);
comment on table log.heads is 'Version of each stream: the expected-version check of an append.';

create table log.personal (
    position bigint not null,
    part     text not null check (part in ('origin', 'event')),
    subject  bigint not null,
    salt     bytea not null,
    data     bytea not null,
    primary key (position, part)
);
comment on table log.personal is 'Personal data of events, beside the log so that it can be erased. The event keeps SHA-256(salt || data).';
create index personal_subject on log.personal (subject);

-- +goose StatementBegin
create function log.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % on log.events is refused', tg_op using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd
create trigger events_append_only before update or delete or truncate on log.events
    for each statement execute function log.refuse_change();

grant select, insert on log.events to annal_app;
grant select, insert, update on log.heads to annal_app;
grant select, insert, delete on log.personal to annal_app;

create sequence log.user_id;
create sequence log.project_id;
create sequence log.repository_id;
create sequence log.token_id;
grant usage on all sequences in schema log to annal_app;

-- +goose Down
drop schema log cascade;
