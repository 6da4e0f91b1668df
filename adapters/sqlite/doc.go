// Package sqlite implements queue, store and statistics on two SQLite files, one of
// the queue and one of the rest, so that the service needs nothing else installed and
// accepting never waits for storing. One process owns the files; within it everything
// is safe for concurrent use.
package sqlite
