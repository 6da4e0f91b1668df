// Package sqlite implements queue, store and statistics on one SQLite file, so
// that the service needs nothing else installed. One process owns the file;
// within it everything is safe for concurrent use.
package sqlite
