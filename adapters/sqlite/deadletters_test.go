package sqlite_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestDeadLetters(t *testing.T) {
	contract.DeadLetters(t, func(t *testing.T, maxEvents int) contract.DeadLettersHarness {
		clock := memory.NewClock(contract.Now)
		config := sqlite.Config{Dir: t.TempDir(), Clock: clock}
		db := open(t, config)
		return contract.DeadLettersHarness{
			Queue:   sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: maxEvents}),
			Advance: clock.Advance,
			Crash: func(t *testing.T) contract.DeadLetterPorts {
				closeDB(t, db)
				db = open(t, config)
				return sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: maxEvents})
			},
			Damage: func(t *testing.T, id domain.BatchID) {
				exec1(t, db.QueueFile(), `UPDATE queue SET payload = substr(payload, 1, 20) WHERE id = ?`, id)
			},
			Break: func(t *testing.T) { closeDB(t, db) },
		}
	})
}

func TestListingAfterAnUnknownLetterIsRefused(t *testing.T) {
	q := sqlite.NewQueue(open(t, sqlite.Config{Dir: t.TempDir()}), sqlite.QueueConfig{})
	if _, err := q.List(t.Context(), "unknown", 10); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("error is %v", err)
	}
}
