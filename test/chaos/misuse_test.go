package chaos_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// TestServersThatCannotBeUsed starts the program with servers that refuse it.
// It ends at once, with a sentence that says what to do.
func TestServersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	store := servers.Postgres(t)
	database := store.NewDatabase(t)
	queue := servers.Redis(t, "appendonly yes")
	locked := servers.Redis(t, "requirepass secret")
	replica := servers.Redis(t, fmt.Sprintf("replicaof 127.0.0.1 %d", queue.Port()))

	tests := []struct {
		name, database, redis string
		says                  []string
	}{
		{
			"wrong password", strings.Replace(database, ":private@", ":wrong@", 1), queue.URL(),
			[]string{"credentials", "correct user and password in DATABASE_URL"},
		},
		{
			"missing database", store.URL("absent"), queue.URL(),
			[]string{"the database does not exist", "DATABASE_URL"},
		},
		{
			"Redis without password", database, "redis://" + locked.Address(),
			[]string{"NOAUTH", "set it in REDIS_URL"},
		},
		{
			"Redis replica", database, replica.URL(),
			[]string{"replica", "let REDIS_URL name the primary"},
		},
	}
	for _, role := range []string{"api", "worker"} {
		for _, tt := range tests {
			t.Run(role+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				env := []string{"PORT=0", "BIND_ADDRESS=127.0.0.1", "DATABASE_URL=" + tt.database, "REDIS_URL=" + tt.redis}
				_, err := program.Run(t, env, role)
				if err == nil {
					t.Fatal("the program has ended well")
				}
				for _, want := range tt.says {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the program says %q, want %q in it", err, want)
					}
				}
				for _, secret := range []string{":private@", ":wrong@"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the program tells a password: %q", err)
					}
				}
			})
		}
	}
}

// TestForeignEntryInTheQueueIsBuried puts what is no batch between batches.
func TestForeignEntryInTheQueueIsBuried(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	f := newFleet(t, random, 1, 1)
	load := drawLoad(random, shape{batches: 6, events: 4, flawless: true})
	outcomes := f.postAll(t, load[:3])
	connection, err := redigo.DialURL(f.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.Do("XADD", "analytics:queue", "*", "job", "of another program"); err != nil {
		t.Fatal(err)
	}
	outcomes = append(outcomes, f.postAll(t, load[3:])...)

	awaitStatus(t, f.api(t), "the entry is buried and the batches are stored", func(s status) bool {
		return s.DeadLetters == 1 && s.Queue.Batches == 0
	})
	list, err := f.run(t, "deadletters", "list")
	if err != nil || !strings.Contains(list, "not an entry of ours") {
		t.Errorf("deadletters list: %v\n%s\nwant the reason", err, list)
	}
	if out, err := f.run(t, "deadletters", "replay", "--all"); err == nil || !strings.Contains(out, "cannot be read") {
		t.Errorf("replay of what is no batch: %v\n%s\nwant a refusal", err, out)
	}
	f.settle(t, load, outcomes)
}

// TestDamagedAggregateIsTold damages a row of the aggregates under a running
// system. What is accepted then is kept, and a rebuild makes all counts right.
func TestDamagedAggregateIsTold(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	f := newFleet(t, random, 1, 1)
	load := drawLoad(random, shape{batches: 20, events: 4, flawless: true})
	address := f.api(t)
	outcomes := f.postAll(t, load[:10])
	drain(t, address, patience)
	awaitMerged(t, f.api(t), patience)
	f.postgres.Exec(t, f.database, `UPDATE packed_aggregates SET latency = '\xff'`)

	outcomes = append(outcomes, f.postAll(t, load[10:])...)
	drain(t, address, patience)
	if code, _ := get(t, newClient(t), address, "/v1/stats/overview?period=24h"); code != http.StatusServiceUnavailable {
		t.Errorf("statistics of damaged aggregates are answered %d, want 503", code)
	}
	awaitLog(t, f.apis[0].current(), "packed_aggregates", "analytics rebuild")

	hour := load[0].hour
	from, to := hour.Format("2006-01-02"), hour.AddDate(0, 0, 1).Format("2006-01-02")
	if out, err := f.run(t, "rebuild", "--from", from, "--to", to); err != nil {
		t.Fatalf("rebuild: %v\n%s", err, out)
	}
	f.settle(t, load, outcomes)
}

// awaitLog waits until the log says all of that: it may come after the answer.
func awaitLog(t *testing.T, p *program.Process, texts ...string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(10 * time.Millisecond); ; <-tick {
		log := p.Log.String()
		lacks := slices.IndexFunc(texts, func(text string) bool { return !strings.Contains(log, text) })
		if lacks < 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q:\n%s", texts[lacks], log)
		}
	}
}
