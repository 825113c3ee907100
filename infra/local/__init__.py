"""Runs Kafka, PostgreSQL and the services on one machine, without Docker and without changing the machine."""
