// Package postgres keeps events and aggregates in PostgreSQL, with TimescaleDB
// or without. Any number of processes may use one database.
//
// What a transaction stores is counted in its journal row first; [Store] merges
// the journal into the aggregates' rows many transactions at a time, as most of
// the cost of a row is that of writing it at all. Readers add the journal to
// the rows, so statistics are never behind. docs/postgresql.md tells more.
package postgres
