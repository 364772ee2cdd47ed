"""Stand-ins for servers: on loopback, spoken to by the real clients, each request checked before it is answered.

``http`` is the server and ``faults`` what it does on a bad day. ``service`` adds routes, schemas and credentials, and
``lag`` rows that are seen late: what the stand-ins of cloud services are made of.
"""
