-- +goose Up
create table log.tree_checkpoints (
    epoch    bigint not null,
    size     bigint not null check (size > 0),
    previous bigint not null check (previous >= 0 and previous < size),
    root     bytea not null check (length(root) = 32),
    frontier bytea not null,
    note     text not null,
    at       timestamptz not null default clock_timestamp(),
    primary key (epoch, size),
    unique (epoch, previous)
);
comment on table log.tree_checkpoints is 'Signed states of the Merkle tree over log.events, append-only.';
comment on column log.tree_checkpoints.size is 'How many events the tree covers: positions 1 to size.';
comment on column log.tree_checkpoints.previous is 'Size of the checkpoint that this one follows, 0 for the first. Being unique, it lets one follow each: two integrators cannot sign two histories.';
comment on column log.tree_checkpoints.frontier is 'Roots of the complete subtrees, largest first, 32 bytes each: the tree goes on from here without its tiles.';
comment on column log.tree_checkpoints.note is 'The checkpoint as signed, C2SP tlog-checkpoint.';

-- +goose StatementBegin
create function log.refuse_checkpoint_change() returns trigger language plpgsql as $$
begin
    raise exception 'checkpoints are append-only: % on log.tree_checkpoints is refused', tg_op using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd
create trigger tree_checkpoints_append_only before update or delete or truncate on log.tree_checkpoints
    for each statement execute function log.refuse_checkpoint_change();

grant select, insert on log.tree_checkpoints to annal_app;

-- +goose Down
drop table log.tree_checkpoints;
drop function log.refuse_checkpoint_change();
