package redis

import (
	_ "embed"

	redigo "github.com/gomodule/redigo/redis"
)

//go:embed scripts/prelude.lua
var prelude string

var (
	//go:embed scripts/enqueue.lua
	enqueueSource string
	//go:embed scripts/enqueue_once.lua
	enqueueOnceSource string
	//go:embed scripts/receipt.lua
	receiptSource string
	//go:embed scripts/expire_receipts.lua
	expireReceiptsSource string
	//go:embed scripts/receive.lua
	receiveSource string
	//go:embed scripts/acknowledge.lua
	acknowledgeSource string
	//go:embed scripts/return.lua
	returnSource string
	//go:embed scripts/bury.lua
	burySource string
	//go:embed scripts/beat.lua
	beatSource string
	//go:embed scripts/leave.lua
	leaveSource string
	//go:embed scripts/depth.lua
	depthSource string
	//go:embed scripts/replay.lua
	replaySource string
	//go:embed scripts/purge.lua
	purgeSource string
	//go:embed scripts/kinds.lua
	kindsSource string
	//go:embed scripts/cache_set.lua
	cacheSetSource string
	//go:embed scripts/cache_release.lua
	cacheReleaseSource string
	//go:embed scripts/agree.lua
	agreeSource string
	//go:embed scripts/take.lua
	takeSource string
)

// The scripts, each with the number of its keys.
var (
	enqueueScript        = newScript(4, enqueueSource)
	enqueueOnceScript    = newScript(7, enqueueOnceSource)
	receiptScript        = newScript(3, receiptSource)
	expireReceiptsScript = newScript(2, expireReceiptsSource)
	receiveScript        = newScript(4, receiveSource)
	acknowledgeScript    = newScript(3, acknowledgeSource)
	returnScript         = newScript(2, returnSource)
	buryScript           = newScript(6, burySource)
	beatScript           = newScript(2, beatSource)
	leaveScript          = newScript(3, leaveSource)
	depthScript          = newScript(7, depthSource)
	replayScript         = newScript(6, replaySource)
	purgeScript          = newScript(3, purgeSource)
	kindsScript          = newScript(10, kindsSource)
	cacheSetScript       = newScript(3, cacheSetSource)
	cacheReleaseScript   = newScript(1, cacheReleaseSource)
	agreeScript          = newScript(1, agreeSource)
	takeScript           = newScript(3, takeSource)
)

func newScript(keys int, source string) *redigo.Script {
	return redigo.NewScript(keys, prelude+source)
}

// keys are the names of everything kept in Redis.
type keys struct {
	stream       string // the batches
	size         string // how many events these have, and bytes
	arrivals     string // wakes waiting workers
	workers      string // until when each worker counts as alive
	dead         string // the dead letters
	names        string // where in dead each one stands
	deadSize     string // how many bytes these take
	secret       string // of the hashes of idempotency keys
	receipts     string // the receipts by the hashes of idempotency keys
	receiptOrder string // the order of these
	cache        string // begins the key of each cached answer
	order        string // begins the key of the order of each kind of these
	claims       string // begins the key of each claim to compute an answer
	agreed       string // the id of the key that clients' names are hashed with
	asking       string // the channel on which this key is asked for
	accounts     string // begins the key of each client's account
	clients      string // when each account was used last
	settled      string // when a batch last left the queue
	suspended    string // is there while no batch may enter it
	health       string // proves that writing works
}

func newKeys(prefix string) keys {
	return keys{
		stream:       prefix,
		size:         prefix + ":size",
		arrivals:     prefix + ":arrivals",
		workers:      prefix + ":workers",
		dead:         prefix + ":dead",
		names:        prefix + ":dead:names",
		deadSize:     prefix + ":dead:size",
		secret:       prefix + ":secret",
		receipts:     prefix + ":receipts",
		receiptOrder: prefix + ":receipts:order",
		cache:        prefix + ":cache:",
		order:        prefix + ":order:",
		claims:       prefix + ":claim:",
		agreed:       prefix + ":limit:key",
		asking:       prefix + ":limit:asking",
		accounts:     prefix + ":limit:",
		clients:      prefix + ":limits",
		settled:      prefix + ":settled",
		suspended:    prefix + ":suspended",
		health:       prefix + ":health",
	}
}
