-- +goose Up
create table access.token_uses (
    token_id bigint primary key,
    used_at  timestamptz not null
) with (fillfactor = 50);
comment on table access.token_uses is 'When access tokens were last used, to the minute. Not made from the log: a rebuild leaves it alone.';

grant select, insert, update, delete on access.token_uses to annal_app;

-- +goose Down
drop table access.token_uses;
