-- +goose Up
create sequence log.ssh_key_id;
grant usage on sequence log.ssh_key_id to annal_app;

create table access.ssh_keys (
    id          bigint primary key,
    user_id     bigint not null references access.users (id),
    fingerprint bytea not null,
    key         bytea not null,
    algorithm   text not null,
    bits        integer not null,
    label       text not null,
    created_at  timestamptz not null,
    expires_at  timestamptz
);
comment on table access.ssh_keys is 'SSH keys of users, and access keys, whose users are of type KEY; a removed one has no row.';
comment on column access.ssh_keys.fingerprint is 'SHA-256 of the key.';
comment on column access.ssh_keys.key is 'Public key in the form of RFC 4253, section 6.6.';
create unique index ssh_keys_fingerprint on access.ssh_keys (fingerprint);
create index ssh_keys_user on access.ssh_keys (user_id);

create table access.ssh_key_uses (
    key_id  bigint primary key,
    used_at timestamptz not null
) with (fillfactor = 50);
comment on table access.ssh_key_uses is 'When SSH keys last opened a connection, to the minute. Not made from the log: a rebuild leaves it alone.';

grant select, insert, update, delete on access.ssh_keys, access.ssh_key_uses to annal_app;

-- +goose Down
drop table access.ssh_key_uses;
drop table access.ssh_keys;
drop sequence log.ssh_key_id;
