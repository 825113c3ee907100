-- The inbox keeps the heads of studies and participants that another service registers.

grant insert on streams to {system};
grant update (version, site_id, known) on streams to {system};
