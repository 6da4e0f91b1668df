package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// bench is a queue on the shared server, and a console beside it.
func bench(t *testing.T, maxEvents int) (*redis.Queue, console, string) {
	t.Helper()
	url := servers.SharedRedis(t).URL()
	prefix := newPrefix()
	pool := open(t, redis.Config{URL: url, Prefix: prefix})
	return redis.NewQueue(pool, redis.QueueConfig{MaxEvents: maxEvents}), newConsole(t, url), prefix
}

func checkHeld(t *testing.T, q *redis.Queue, batches, events int) {
	t.Helper()
	depth, err := q.Depth(t.Context())
	if err != nil || depth.Batches != batches || depth.Events != events {
		t.Errorf("holds %+v, %v, want %d batches of %d events", depth, err, batches, events)
	}
}

func acknowledgeAll(t *testing.T, q *redis.Queue, attempts map[domain.BatchID]int) {
	t.Helper()
	var ids []domain.BatchID
	for id := range attempts {
		ids = append(ids, id)
	}
	must(t, q.Acknowledge(t.Context(), ids...))
}

func TestQueueDefaults(t *testing.T) {
	q, _, _ := bench(t, 0)
	for n := range 10 {
		must(t, q.Enqueue(t.Context(), batchOf(n, 10_000)))
	}
	checkCode(t, q.Enqueue(t.Context(), batchOf(11, 1)), domain.CodeQueueFull)
}

func TestTheBoundHoldsForManyProcesses(t *testing.T) {
	const callers, each, size, room = 32, 10, 3, 500
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	pools := []*redis.Pool{
		open(t, redis.Config{URL: url, Prefix: prefix}),
		open(t, redis.Config{URL: url, Prefix: prefix}),
	}
	var accepted atomic.Int64
	var group sync.WaitGroup
	for i := range callers {
		q := redis.NewQueue(pools[i%len(pools)], redis.QueueConfig{MaxEvents: room})
		group.Go(func() {
			for n := range each {
				err := q.Enqueue(t.Context(), batchOf(i*each+n, size))
				if err == nil {
					accepted.Add(1)
				} else {
					checkCode(t, err, domain.CodeQueueFull)
				}
			}
		})
	}
	group.Wait()
	if accepted.Load() != room/size {
		t.Errorf("accepted %d batches of %d with room for %d events", accepted.Load(), size, room)
	}
	q := redis.NewQueue(pools[0], redis.QueueConfig{})
	checkHeld(t, q, room/size, room/size*size)
	acknowledgeAll(t, q, receive(t, q, 0))
	checkHeld(t, q, 0, 0)
}

func TestProcessesAgreeOnKeys(t *testing.T) {
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	var group sync.WaitGroup
	answers := make([]domain.Receipt, 8)
	for i := range answers {
		q := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix}), redis.QueueConfig{})
		group.Go(func() {
			var err error
			answers[i], err = q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "key"}, batchOf(i, 1), domain.Receipt{Accepted: i})
			must(t, err)
		})
	}
	group.Wait()
	for _, a := range answers {
		if a.Accepted != answers[0].Accepted {
			t.Errorf("answers %d and %d to one key", a.Accepted, answers[0].Accepted)
		}
	}
	q := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix}), redis.QueueConfig{})
	checkHeld(t, q, 1, 1)
	_, err := q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "keys"}, batchOf(9, 1), domain.Receipt{})
	must(t, err)
	checkHeld(t, q, 2, 2)
}

func TestReceiptsDoNotOutliveTheirUse(t *testing.T) {
	q, console, prefix := bench(t, 0)
	_, err := q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "key"}, batchOf(1, 1), domain.Receipt{Accepted: 1})
	must(t, err)
	for _, key := range []string{":receipts", ":receipts:order"} {
		left := time.Duration(console.number("PTTL", prefix+key)) * time.Millisecond
		if left > domain.IdempotencyLifetime || left < domain.IdempotencyLifetime-time.Minute {
			t.Errorf("%s is kept for %v", key, left)
		}
	}
}

func TestOthersBatchesCanBeSettled(t *testing.T) {
	q, _, _ := bench(t, 0)
	for i := range 250 {
		must(t, q.Enqueue(t.Context(), batchOf(i, 1)))
	}
	must(t, q.Acknowledge(t.Context(), batchOf(3, 0).ID, batchOf(249, 0).ID, batchOf(120, 0).ID))
	must(t, q.Bury(t.Context(), batchOf(200, 0).ID, "refused"))
	checkHeld(t, q, 246, 246)
	got := receive(t, q, 0)
	for _, n := range []int{3, 120, 200, 249} {
		if _, ok := got[batchOf(n, 0).ID]; ok {
			t.Errorf("batch %d is still there", n)
		}
	}
}

// foreign are entries that another program might write under our name.
var foreign = map[string][]any{
	"other fields":      {"hello", "world"},
	"no id":             {"n", "1", "t", "1", "b", "\x01\x00"},
	"empty id":          {"id", "", "n", "1", "t", "1", "b", "x"},
	"no payload":        {"id", "a", "n", "1", "t", "1"},
	"text for payload":  {"id", "b", "n", "1", "t", "1", "b", `{"events":[]}`},
	"no format":         {"id", "c", "n", "1", "t", "1", "b", "\x00\x00\x00\x00\x00\x00"},
	"beyond formats":    {"id", "c", "n", "1", "t", "1", "b", "\x20\x00\x00\x00\x00\x00"},
	"a number too long": {"id", "f", "n", "99999999999999999999", "t", "1", "b", "x"},
	"time is no number": {"id", "d", "n", "1", "t", "yesterday", "b", string(domain.EncodeEvents(contract.Events(1, 1)))},
	"wrong number":      {"id", "e", "n", "2", "t", "1", "b", string(domain.EncodeEvents(contract.Events(1, 1)))},
	"many fields":       manyFields(),
	"our own words":     {"name", "x", "reason", "mine", "attempts", "99", "buried", "-1"},
}

func manyFields() []any {
	var fields []any
	for i := range 5000 {
		fields = append(fields, fmt.Sprint("field", i), "value")
	}
	return fields
}

func TestEntriesThatAreNotOursAreBuried(t *testing.T) {
	for name, fields := range foreign {
		t.Run(name, func(t *testing.T) {
			q, console, prefix := bench(t, 100)
			must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
			entry := string(console.do("XADD", append([]any{prefix, "*"}, fields...)...).([]byte))
			must(t, q.Enqueue(t.Context(), batchOf(2, 1)))
			if got := receive(t, q, 0); len(got) != 2 {
				t.Errorf("received %v, want both neighbours", got)
			}
			letters, err := q.List(t.Context(), "", 10)
			if err != nil || len(letters) != 1 {
				t.Fatalf("%d dead letters, %v", len(letters), err)
			}
			l := letters[0]
			if l.ID == "" || l.Batch.ID == "" || len(l.Batch.Events) > 0 || l.Reason == "" || l.Reason == "mine" ||
				l.Attempts != 1 || time.Since(l.BuriedAt) > time.Minute {
				t.Errorf("dead letter %+v", l)
			}
			if len(fields) > 0 && fields[0] != "id" && l.ID != domain.BatchID(entry) {
				t.Errorf("it is called %q, want %q", l.ID, entry)
			}
			// Whatever it was is kept for those who want to look.
			kept := fmt.Sprintf("%s", console.do("XRANGE", prefix+":dead", "-", "+"))
			for _, f := range fields[:2] {
				if !strings.Contains(kept, fmt.Sprint(f)) {
					t.Errorf("%q is not in %.200q", f, kept)
				}
			}
			checkCode(t, q.Replay(t.Context(), l.ID), domain.CodeInvalid)
			acknowledgeAll(t, q, map[domain.BatchID]int{batchOf(1, 0).ID: 1, batchOf(2, 0).ID: 1})
			checkHeld(t, q, 0, 0)
			if n, err := q.Purge(t.Context(), l.ID); n != 1 || err != nil {
				t.Errorf("purged %d, %v", n, err)
			}
		})
	}
}

func TestTwoDeadLettersOfOneName(t *testing.T) {
	q, console, prefix := bench(t, 100)
	console.do("XADD", prefix, "*", "id", "twin", "colour", "red")
	console.do("XADD", prefix, "*", "id", "twin", "colour", "blue")
	receive(t, q, 0)
	letters, err := q.List(t.Context(), "", 10)
	if err != nil || len(letters) != 2 || letters[0].ID != "twin" || letters[1].ID == "twin" {
		t.Fatalf("%+v, %v", letters, err)
	}
	for _, l := range letters {
		if got, err := q.Get(t.Context(), l.ID); err != nil || got.ID != l.ID {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestManyDeadLettersArePurged(t *testing.T) {
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	console := newConsole(t, url)
	q := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix}), redis.QueueConfig{MaxDeadLetters: 1500})
	var ids []domain.BatchID
	for i := range 1500 {
		must(t, console.conn.Send("XADD", prefix, "*", "id", fmt.Sprint("letter-", i)))
		ids = append(ids, domain.BatchID(fmt.Sprint("letter-", i)))
	}
	console.do("")
	receive(t, q, 0)
	if n, err := q.Purge(t.Context(), append(ids, "unknown")...); n != 1500 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	if n := console.number("EXISTS", prefix+":dead:names"); n != 0 {
		t.Error("names are left")
	}
}

// What people do to the keys by hand must lose nothing that is still there,
// and must not leave the queue full for ever.
func TestTheQueueSurvivesStrangeHands(t *testing.T) {
	for name, c := range map[string]struct {
		meddle func(c console, prefix string)
		want   int // of three batches, one of them in our hands
	}{
		"the group is destroyed":     {func(c console, p string) { c.do("XGROUP", "DESTROY", p, "workers") }, 3},
		"the workers are forgotten":  {func(c console, p string) { c.do("DEL", p+":workers") }, 2},
		"the size is lost":           {func(c console, p string) { c.do("DEL", p+":size") }, 2},
		"the size is wrong":          {func(c console, p string) { c.do("SET", p+":size", "5000 90000") }, 2},
		"a stranger took everything": {func(c console, p string) { strangerTakes(c, p) }, 2},
		"a stranger took and left": {func(c console, p string) {
			strangerTakes(c, p)
			c.do("XGROUP", "DELCONSUMER", p, "workers", "stranger")
		}, 2},
		"the stream is cut":  {func(c console, p string) { c.do("XTRIM", p, "MAXLEN", 1) }, 1},
		"the stream is gone": {func(c console, p string) { c.do("DEL", p) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			q, console, prefix := bench(t, 9)
			for i := range 3 {
				must(t, q.Enqueue(t.Context(), batchOf(i+1, 3)))
			}
			first, err := q.Receive(t.Context(), 3, 0)
			if err != nil || len(first) != 1 {
				t.Fatalf("received %v, %v", first, err)
			}
			c.meddle(console, prefix)
			got := receive(t, q, 0)
			must(t, q.Acknowledge(t.Context(), first[0].Batch.ID))
			acknowledgeAll(t, q, got)
			for id := range receive(t, q, 0) {
				got[id]++
				must(t, q.Acknowledge(t.Context(), id))
			}
			if len(got) != c.want {
				t.Errorf("received %v, want %d batches", got, c.want)
			}
			checkHeld(t, q, 0, 0)
			must(t, q.Enqueue(t.Context(), batchOf(4, 9)))
		})
	}
}

func strangerTakes(c console, prefix string) {
	c.do("XREADGROUP", "GROUP", "workers", "stranger", "STREAMS", prefix, ">")
}

// Whoever held them, batches come again in the order in which they came.
func TestWhatIsFreeComesInItsOldOrder(t *testing.T) {
	q, console, prefix := bench(t, 0)
	console.do("XGROUP", "CREATE", prefix, "workers", "0", "MKSTREAM")
	for i := 5; i <= 15; i++ { // 9 comes before 10, although its text does not
		b := batchOf(i, 1)
		console.do("XADD", prefix, fmt.Sprintf("7-%d", i), "id", string(b.ID), "n", 1, "t", 1, "b", domain.EncodeEvents(b.Events))
		console.do("XREADGROUP", "GROUP", "workers", fmt.Sprint("stranger-", i%3), "STREAMS", prefix, ">")
	}
	console.do("XDEL", prefix, "7-6", "7-15")
	for range 2 {
		deliveries, err := q.Receive(t.Context(), 100, 0)
		must(t, err)
		var got, want []domain.BatchID
		for _, d := range deliveries {
			got = append(got, d.Batch.ID)
		}
		for _, i := range []int{5, 7, 8, 9, 10, 11, 12, 13, 14} {
			want = append(want, batchOf(i, 0).ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("received %v\nwant %v", got, want)
		}
		if n := len(console.do("XPENDING", prefix, "workers", "-", "+", 100).([]any)); n != len(want) {
			t.Errorf("%d entries count as held", n)
		}
		must(t, q.Return(t.Context(), got...))
	}
	if got, err := q.Receive(t.Context(), -20, 0); len(got) != 1 || err != nil {
		t.Errorf("received %d batches, %v", len(got), err)
	}
}

// What is returned may be handed to another of the same process before Return
// has ended.
func TestReturnBesideReceive(t *testing.T) {
	q, _, _ := bench(t, 0)
	b := batchOf(1, 1)
	must(t, q.Enqueue(t.Context(), b))
	receive(t, q, 0)
	for range 300 {
		got := make(chan int, 1)
		go func() { got <- len(receive(t, q, 10*time.Second)) }()
		must(t, q.Return(t.Context(), b.ID))
		if n := <-got; n != 1 {
			t.Fatalf("received %d batches", n)
		}
		if twice := receive(t, q, 0); len(twice) > 0 {
			t.Fatal("the batch is in two hands")
		}
	}
}

func TestEverythingIsDeleted(t *testing.T) {
	q, console, _ := bench(t, 100)
	_, err := q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "key"}, batchOf(1, 1), domain.Receipt{Accepted: 1})
	must(t, err)
	receive(t, q, 0)
	console.do("FLUSHALL")
	_, err = q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "key"}, batchOf(1, 1), domain.Receipt{Accepted: 1})
	must(t, err)
	if got := receive(t, q, 0); len(got) != 1 {
		t.Errorf("received %v", got)
	}
	checkHeld(t, q, 1, 1)
}

// A script that fails in the middle is not undone: burying must not.
func TestNothingIsLostInABurial(t *testing.T) {
	for name, meddle := range map[string]func(c console, prefix string){
		"a size that is no integer": func(c console, p string) { c.do("SET", p+":size", "12.5 1") },
		"a negative size":           func(c console, p string) { c.do("SET", p+":size", "-7 -7") },
		"a size beyond all":         func(c console, p string) { c.do("SET", p+":size", "9223372036854775807 9223372036854775807") },
		"a size that is a list":     func(c console, p string) { c.do("DEL", p+":size"); c.do("LPUSH", p+":size", "x") },
		"a size that is lost":       func(c console, p string) { c.do("DEL", p+":size") },
		"a size too small":          func(c console, p string) { c.do("SET", p+":size", "1 1") },
	} {
		t.Run(name, func(t *testing.T) {
			q, console, prefix := bench(t, 20)
			for i := range 3 {
				must(t, q.Enqueue(t.Context(), batchOf(i+1, 3)))
			}
			receive(t, q, 0)
			meddle(console, prefix)
			if depth, err := q.Depth(t.Context()); err != nil || depth.Batches != 3 {
				t.Errorf("%+v, %v", depth, err)
			}
			must(t, q.Bury(t.Context(), batchOf(2, 3).ID, "refused"))
			checkHeld(t, q, 2, 6)
			letter, err := q.Get(t.Context(), batchOf(2, 3).ID)
			if err != nil || len(letter.Batch.Events) != 3 {
				t.Errorf("%+v, %v", letter, err)
			}
			meddle(console, prefix)
			must(t, q.Acknowledge(t.Context(), batchOf(1, 3).ID))
			checkHeld(t, q, 1, 3)
			meddle(console, prefix)
			must(t, q.Replay(t.Context(), batchOf(2, 3).ID))
			must(t, q.Enqueue(t.Context(), batchOf(4, 14)))
			if name == "a size too small" {
				return // nobody can tell
			}
			checkHeld(t, q, 3, 20)
			checkCode(t, q.Enqueue(t.Context(), batchOf(5, 1)), domain.CodeQueueFull)
		})
	}
}

// What cannot be moved stays in the queue.
func TestABurialThatFailsMovesNothing(t *testing.T) {
	for _, spoiled := range []string{":dead", ":dead:names"} {
		t.Run(spoiled, func(t *testing.T) {
			q, console, prefix := bench(t, 20)
			must(t, q.Enqueue(t.Context(), batchOf(1, 3)))
			receive(t, q, 0)
			console.do("SET", prefix+spoiled, "of another program")
			checkCode(t, q.Bury(t.Context(), batchOf(1, 3).ID, "refused"), domain.CodeUnavailable)
			console.do("DEL", prefix+spoiled)
			checkHeld(t, q, 1, 3)
			receive(t, q, 0)
			must(t, q.Bury(t.Context(), batchOf(1, 3).ID, "refused"))

			must(t, q.Enqueue(t.Context(), batchOf(2, 4))) // so that the size is known
			console.do("RENAME", prefix, prefix+":aside")
			console.do("SET", prefix, "of another program")
			checkCode(t, q.Replay(t.Context(), batchOf(1, 3).ID), domain.CodeUnavailable)
			console.do("RENAME", prefix+":aside", prefix)
			must(t, q.Replay(t.Context(), batchOf(1, 3).ID))
			checkHeld(t, q, 2, 7)
		})
	}
}

// In a rolling upgrade an old worker meets what a newer version has queued.
func TestNewerPayloadsWaitForNewerWorkers(t *testing.T) {
	log := new(logs.Buffer)
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	q := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix, Log: log.Logger()}), redis.QueueConfig{Heartbeat: 10 * time.Minute})
	console := newConsole(t, url)
	newer := func(id string) {
		console.do("XADD", prefix, "*", "id", id, "n", "1", "t", "1", "b", "\x02of the future")
	}
	newer("newer-1")
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	newer("newer-2")
	must(t, q.Enqueue(t.Context(), batchOf(2, 1)))
	if got := receive(t, q, 0); len(got) != 2 {
		t.Errorf("received %v, want what is ours", got)
	}
	must(t, q.Return(t.Context(), batchOf(1, 1).ID))
	if got := receive(t, q, 0); len(got) != 1 || got[batchOf(1, 1).ID] != 2 {
		t.Errorf("received %v", got)
	}
	depth, err := q.Depth(t.Context())
	if err != nil || depth.Batches != 4 || depth.DeadLetters != 0 {
		t.Errorf("%+v, %v", depth, err)
	}
	if n := strings.Count(log.String(), "a newer version has queued batches"); n != 1 {
		t.Errorf("said %d times that there are newer batches:\n%s", n, log)
	}
	if n := console.number("LLEN", prefix+":arrivals"); n != 1 {
		t.Error("newer workers are not woken")
	}
	console.do("DEL", prefix+":arrivals")
	receive(t, q, 0)
	if n := console.number("LLEN", prefix+":arrivals"); n != 0 {
		t.Error("what was put aside is looked at again")
	}
	answer := redis.ReceiveAs(t, console.conn, prefix, 2)
	if !strings.Contains(answer, "newer-1") || !strings.Contains(answer, "newer-2") || strings.Contains(answer, string(batchOf(1, 1).ID)) {
		t.Errorf("a newer worker receives %q", answer)
	}
}
