"""Stand-ins for servers: on loopback, spoken to by the real clients, checked by the clients' own request models."""
