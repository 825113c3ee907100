-- The last moment at which the relay of a shard had published everything that it could see: its distance from now is
-- the age that monitoring and the operations page show. The service's web process sees this column alone.
alter table relay_cursor add column published_at timestamptz;
create policy relay_cursor_published_at on relay_cursor for select to {app} using (true);
grant select (published_at) on relay_cursor to {app};
