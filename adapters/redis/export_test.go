package redis

import (
	"fmt"
	"testing"

	redigo "github.com/gomodule/redigo/redis"
)

// What tests of the payload's format need to see.
var (
	EncodeEvents = encodeEvents
	DecodeEvents = decodeEvents
)

// WorkerName is the queue's name as a worker.
func (q *Queue) WorkerName() string { return q.worker }

// ReturnScript is what Return runs.
var ReturnScript = returnScript

// ReceiveAs shows what a worker receives that knows payloads up to a format.
func ReceiveAs(tb testing.TB, c redigo.Conn, prefix string, format int) string {
	tb.Helper()
	k := newKeys(prefix)
	answer, err := receiveScript.Do(c, k.stream, k.size, k.workers, k.arrivals, "worker-of-a-test", 60_000, 1000, format)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%s", answer)
}
