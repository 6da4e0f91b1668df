// Package postgres keeps events and aggregates in PostgreSQL, with TimescaleDB
// or without. Any number of processes may use one database.
//
// What a transaction stores is counted in its journal row first; [Store.Merge]
// merges the journal into the packed aggregates, many transactions at a time, as
// most of the cost of a packed value is that of writing it at all. Readers add the
// journal to these, so statistics are never behind. Package domain packs and reads
// the values; this one moves their bytes. docs/postgresql.md has more.
package postgres
