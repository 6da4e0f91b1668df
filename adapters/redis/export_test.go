package redis

// What tests of the payload's format need to see.
var (
	EncodeEvents = encodeEvents
	DecodeEvents = decodeEvents
)

// WorkerName is the queue's name as a worker.
func (q *Queue) WorkerName() string { return q.worker }

// ReturnScript is what Return runs.
var ReturnScript = returnScript
