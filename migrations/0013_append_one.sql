-- +goose Up
-- log.append for the most common batch, one event with at most one personal part, without
-- arrays and in one statement after the lock: a lone push waits for nothing else. It returns
-- null, having done nothing, where log.append has to find out what the matter is: in an empty
-- log, behind an old horizon, at the end of a partition.
-- +goose StatementBegin
create function log.append_one(
    horizon bigint, first bigint, last bigint, wake boolean,
    stream text, version bigint, id uuid, type text, body text, meta text,
    part text, subject bigint, salt bytea, data bytea
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
        where e.position + 1 between first and last
        returning events.position, events.at into taken, moment;
    else
        with event as (
            insert into log.events (position, version, at, id, stream, type, body, meta)
            select e.position + 1, append_one.version, greatest(e.at, clock_timestamp()), append_one.id, append_one.stream,
                append_one.type, append_one.body::json, append_one.meta::json
            from (select e.position, e.at from log.events e where e.position >= horizon order by e.position desc limit 1) e
            where e.position + 1 between first and last
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
comment on function log.append_one is 'Appends one event under the append lock, or does nothing and returns null.';

-- +goose Down
drop function log.append_one;
