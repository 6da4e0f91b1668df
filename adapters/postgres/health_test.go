package postgres_test

import (
	"fmt"
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
		for _, right := range []string{"INSERT", "UPDATE", "DELETE", "SELECT"} {
			if table == "heartbeat" && right != "UPDATE" {
				continue
			}
			ways = append(ways, spoiled{
				fmt.Sprintf("without the right to %s on %s", right, table), fmt.Sprintf(`REVOKE %s ON %s FROM app`, right, table),
				fmt.Sprintf(`GRANT %s ON %s TO app`, right, table), "refuses what the program must do",
			})
		}
	}
	return ways
}

// TestCheckMissesNothingThatStoringNeeds spoils a database in every way and
// wants the check to notice, and storing to answer with a code.
func TestCheckMissesNothingThatStoringNeeds(t *testing.T) {
	server := servers.Postgres(t, "fsync=off")
	admin := server.NewDatabase(t)
	closeDB(t, open(t, postgres.Config{URL: admin}))
	server.Exec(t, admin, `CREATE ROLE app LOGIN PASSWORD 'secret'`,
		`GRANT ALL ON ALL TABLES IN SCHEMA public TO app`, `GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app`)
	address := strings.Replace(admin, "postgres:private@", "app:secret@", 1)
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
			// A right that few batches need is not missed by this one.
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
