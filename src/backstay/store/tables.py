"""The tables of the state database, and the version of their layout."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

SCHEMA_VERSION = 1

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

records = Table(
    "records",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("id", String, nullable=False),
    Column("model", String, nullable=False, default=""),
    Column("environment", String, nullable=False, default=""),
    Column("body", Text, nullable=False),
    UniqueConstraint("kind", "id"),
    Index("records_by_scope", "kind", "model", "environment", "number"),
)

releases = Table(
    "releases",
    metadata,
    Column("id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("ledger_seq", Integer, nullable=False),
    Column("body", Text, nullable=False),
    # The second lock: two releases can never take the same place, whatever the first lock did.
    UniqueConstraint("model", "environment", "sequence"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("clock", String, nullable=False),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False, unique=True),
)

state = Table("state", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

labels = Table(
    "labels",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("model", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("prediction_id", String, nullable=False),
    Column("source", String, nullable=False),
    Column("use", String, nullable=False),
    Column("probability", Float),
    Column("body", Text, nullable=False),
    UniqueConstraint("model", "environment", "prediction_id", "source"),
    Index("labels_by_use", "model", "environment", "use"),
)

requests = Table(
    "label_requests",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("model", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("prediction_id", String, nullable=False),
    Column("status", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("requests_by_status", "model", "environment", "status"),
)
