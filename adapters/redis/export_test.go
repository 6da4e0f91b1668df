package redis

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// WorkerName is the queue's name as a worker.
func (q *Queue) WorkerName() string { return q.worker }

// ReturnScript is what Return runs.
var ReturnScript = returnScript

// With is the limiter with other limits, knowing nobody to be barred. Its clock
// is the key of that name, which holds Unix microseconds, in place of the
// server's.
func (l *Limiter) With(limits ports.Limits, clock string) *Limiter {
	return &Limiter{
		pool: l.pool, limits: limits, most: l.most, keys: l.keys,
		script: redigo.NewScript(3, at(clock, prelude+takeSource)), bars: make(map[string]*bar),
	}
}

// at replaces the server's clock by the key of that name, which holds Unix
// microseconds.
func at(clock, source string) string {
	return strings.ReplaceAll(source, "redis.call('TIME')", "{0, redis.call('GET', "+strconv.Quote(clock)+")}")
}

// GoBy has receipts expire by the key of that name, which holds Unix
// microseconds, in place of the server's clock.
func (q *Queue) GoBy(clock string) {
	q.enqueueOnceScript = redigo.NewScript(7, at(clock, prelude+enqueueOnceSource))
	q.receiptScript = redigo.NewScript(3, at(clock, prelude+receiptSource))
	q.expireScript = redigo.NewScript(2, at(clock, prelude+expireReceiptsSource))
}

// ExpireReceipts is what a worker does with every heartbeat.
func (q *Queue) ExpireReceipts(ctx context.Context) error { return q.expireReceipts(ctx) }

// Secret is what clients' names are hashed with now; nil when there is none.
func (l *Limiter) Secret() []byte {
	l.keys.mu.Lock()
	defer l.keys.mu.Unlock()
	if l.keys.current == nil {
		return nil
	}
	return append([]byte(nil), l.keys.current.secret[:]...)
}

// Seal encrypts a key for who asked with that public key.
var Seal = seal

// Account is under which name a client is known.
func (l *Limiter) Account(client string) string {
	_, account, _ := l.keys.hash(client)
	return account
}

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

// ScriptsOfAnAPI are what an API runs for the queue.
func ScriptsOfAnAPI() map[string]*redigo.Script {
	return map[string]*redigo.Script{
		"enqueue": enqueueScript, "enqueue_once": enqueueOnceScript, "receipt": receiptScript, "depth": depthScript,
	}
}

// ScriptCommands lists every command that a script of the queue runs.
func ScriptCommands() []string {
	sources := []string{
		prelude, enqueueSource, enqueueOnceSource, receiptSource, receiveSource, acknowledgeSource, returnSource, burySource,
		beatSource, depthSource, kindsSource,
	}
	var commands []string
	for _, found := range regexp.MustCompile(`redis\.p?call\('([A-Z]+)'`).FindAllStringSubmatch(strings.Join(sources, ""), -1) {
		if !slices.Contains(commands, found[1]) {
			commands = append(commands, found[1])
		}
	}
	return commands
}
