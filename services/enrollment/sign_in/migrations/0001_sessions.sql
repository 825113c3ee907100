-- Sessions of people who signed in with an OpenID provider, and the keys that sign the tokens in their cookies.
--
-- A session is found by the hash of a random text that only the browser has. Refresh tokens and private keys are sealed
-- under keys derived from the key-encryption key, which is never in the database.

create table sessions (
    handle_hash        bytea       primary key,
    subject            text        not null,
    began_at           timestamptz not null default now(),
    active_at          timestamptz not null default now(),  -- the last request of the person that enrollment saw
    renewed_at         timestamptz not null default now(),  -- the provider last confirmed the sign-in
    renewal_claimed_at timestamptz,                         -- a request is asking the provider
    sealed             bytea       not null                 -- refresh token and ID token
);

create table session_keys (
    kid        text        primary key,
    made_at    timestamptz not null default now(),
    public_key jsonb       not null,
    sealed     bytea       not null                         -- the private key
);

alter table sessions enable row level security;
alter table sessions force row level security;
alter table session_keys enable row level security;
alter table session_keys force row level security;

-- Sessions belong to people, not to studies: a row is reached by its hash alone.
create policy sessions_of_app on sessions for all to {app} using (true) with check (true);
create policy session_keys_of_app on session_keys for all to {app} using (true) with check (true);

grant select, insert, update, delete on sessions to {app};
grant select, insert, delete on session_keys to {app};
