-- +goose Up
-- What a node asks before it serves from memory, for many requests at once: what some
-- streams hold behind what it has seen of them (n counts them from 1), and which streams
-- have had events other than pushes behind a position (n is 0), the newest first. Nearly
-- always there is nothing, which a look into an index tells; a query that returns nothing
-- costs more. The plans are made once, as that of log.tail is.
-- +goose StatementBegin
create function log.fresh(of_streams text[], after_versions bigint[], after_positions bigint[], decided_after bigint, most int)
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
comment on function log.fresh is 'What is new to a node that serves from memory.';

-- +goose Down
drop function log.fresh;
