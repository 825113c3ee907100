"""Real Kafka and real PostgreSQL on one machine, without Docker and without changing the machine."""
