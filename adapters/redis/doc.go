// Package redis keeps the queue, its dead letters, the cache of statistics and
// the limits of clients in Redis 6.2 or newer, one server with or without
// replicas. Any number of processes may share it.
//
// A batch is one entry of a stream. A consumer group remembers which worker
// holds which entry, and an entry leaves the stream when it is acknowledged or
// buried: whatever stands in the stream is still to be stored. Everything that
// touches more than one key is a script, so that it happens wholly or not at
// all. The scripts stand in the folder of that name.
//
// What a client was granted is kept under a hash of its name. The key of the
// hashes is never given to Redis, whose data go to disk and into backups: the
// processes hold it in memory and hand it on encrypted, over a channel.
package redis
