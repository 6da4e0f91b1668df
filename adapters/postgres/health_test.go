package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// spoiled says what a database cannot do, and how to undo it.
type spoiled struct{ name, spoil, undo, message string }

// waysNotToStore are all states of a database in which a batch cannot be
// stored: of each table that storing writes, and of the whole.
func waysNotToStore() []spoiled {
	ways := []spoiled{
		{
			"without a column of the journal", `ALTER TABLE aggregation_journal RENAME folded_versions TO folded`,
			`ALTER TABLE aggregation_journal RENAME folded TO folded_versions`, "another schema",
		},
		{
			"without a column of events", `ALTER TABLE events RENAME session_id TO sessions`,
			`ALTER TABLE events RENAME sessions TO session_id`, "another schema",
		},
	}
	for _, table := range append(postgres.WrittenTables(), "heartbeat") {
		ways = append(ways, spoiled{
			"without " + table, fmt.Sprintf(`ALTER TABLE %s RENAME TO elsewhere`, table),
			`ALTER TABLE elsewhere RENAME TO ` + table, "another schema",
		})
	}
	ways = append(ways, spoiled{
		"without the right to write the heartbeat", `REVOKE UPDATE ON heartbeat FROM app`, `GRANT UPDATE ON heartbeat TO app`,
		"refuses what the program must do",
	})
	return ways
}

// TestCheckMissesNothingThatStoringNeeds spoils a database in every way and
// wants the check to notice, and storing to answer with a code.
func TestCheckMissesNothingThatStoringNeeds(t *testing.T) {
	server := servers.Postgres(t, "fsync=off")
	admin := server.NewDatabase(t)
	closeDB(t, open(t, postgres.Config{URL: admin}))
	address := grantAll(t, server, admin)
	clock := contractClock()
	db := open(t, postgres.Config{URL: address, Clock: clock})
	for i, way := range waysNotToStore() {
		t.Run(way.name, func(t *testing.T) {
			server.Exec(t, admin, way.spoil)
			clock.Advance(time.Second)
			err := db.Check(t.Context())
			if domain.CodeOf(err) != domain.CodeUnavailable || !strings.Contains(domain.MessageOf(err), way.message) {
				t.Errorf("the check says %v, want %q", err, way.message)
			}
			_, err = postgres.NewStore(db).Store(t.Context(), contract.Batches(100*i, 5, contract.Events(1, 5)))
			if err != nil && domain.CodeOf(err) != domain.CodeUnavailable {
				t.Errorf("code %q of %v", domain.CodeOf(err), err)
			}
			server.Exec(t, admin, way.undo)
			clock.Advance(time.Second)
			if err := db.Check(t.Context()); err != nil {
				t.Errorf("afterwards the check says %v", err)
			}
		})
	}
}

// grantAll returns the address of a role that may do everything with the rows of
// a database and does not own it.
func grantAll(t *testing.T, server *servers.PostgresServer, admin string) string {
	t.Helper()
	server.Exec(t, admin, `CREATE ROLE app LOGIN PASSWORD 'secret'`,
		`GRANT ALL ON ALL TABLES IN SCHEMA public TO app`, `GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app`)
	return strings.Replace(admin, "postgres:private@", "app:secret@", 1)
}

// TestCheckAsksForTheRightsThatAreUsed revokes each right on each table. The
// check fails where something else does, and only there.
func TestCheckAsksForTheRightsThatAreUsed(t *testing.T) {
	server := servers.Postgres(t, "fsync=off")
	admin, clock := server.NewDatabase(t), contractClock()
	owner := open(t, postgres.Config{URL: admin, Clock: clock})
	mustExpire(t, postgres.NewStore(owner), domain.Cutoffs{}) // makes the partitions, which takes an owner
	db := open(t, postgres.Config{
		URL: grantAll(t, server, admin), Clock: clock,
		Limits: domain.Cardinality{Versions: 1, ErrorTypes: 1},
	})
	number := 0
	for table, needed := range postgres.NeededRights() {
		for _, right := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"} {
			server.Exec(t, admin, `REVOKE `+right+` ON `+table+` FROM app`)
			clock.Advance(time.Second)
			checked, worked := db.Check(t.Context()), doEverything(t, db, &number)
			if used := slices.Contains(needed, right); (checked != nil) != used || (worked != nil) != used {
				t.Errorf("without %s on %s, which is needed: %v, the check says %v, and the work ends with %v",
					right, table, used, checked, worked)
			}
			if checked != nil && domain.MessageOf(checked) != "the database refuses what the program must do" {
				t.Errorf("without %s on %s the check says %v", right, table, checked)
			}
			server.Exec(t, admin, `GRANT `+right+` ON `+table+` TO app`)
			clock.Advance(time.Second)
			if err := errors.Join(db.Check(t.Context()), doEverything(t, db, &number)); err != nil {
				t.Fatalf("with %s on %s again: %v", right, table, err)
			}
		}
	}
}

// doEverything stores a batch with more values than are told apart, merges and
// rebuilds it, and deletes all rows.
func doEverything(t *testing.T, db *postgres.DB, number *int) error {
	t.Helper()
	*number++
	store, events := postgres.NewStore(db), failures(today, 3)
	for i := range events {
		events[i].Version, events[i].ErrorType = fmt.Sprintf("1.0.%d", i), fmt.Sprintf("type_%d", i)
	}
	_, stored := store.Store(t.Context(), []domain.Batch{contract.NewBatch(*number, events...)})
	merged := store.MergeJournal(t.Context())
	_, rebuilt := store.RebuildDay(t.Context(), today, domain.Cutoffs{})
	_, last := store.LastExpiry(t.Context())
	noted := store.NoteExpiry(t.Context(), today)
	end := today.Add(day)
	_, expired := store.Expire(t.Context(), domain.Cutoffs{
		Events: end, Hourly: end, Daily: end, HourlyErrors: end, DailyErrors: end, Batches: end,
	})
	return errors.Join(stored, merged, rebuilt, last, noted, expired)
}

// TestCheckOfLockedTables locks each table and wants an answer in time.
func TestCheckOfLockedTables(t *testing.T) {
	clock := contractClock()
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Clock: clock})
	for _, table := range append(postgres.WrittenTables(), "heartbeat") {
		held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() { ended <- db.Hold(t.Context(), `LOCK TABLE `+table+` IN SHARE MODE`, held, release) }()
		<-held
		clock.Advance(time.Second)
		start := time.Now()
		err := db.Check(t.Context())
		if took := time.Since(start); took > 2*app.HealthTimeout {
			t.Errorf("%s is locked: the check took %v", table, took)
		}
		if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "the database is busy" {
			t.Errorf("%s is locked: %v", table, err)
		}
		close(release)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	clock.Advance(time.Second)
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
