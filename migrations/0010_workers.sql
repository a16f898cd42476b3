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

-- +goose Down
drop schema workers cascade;
