package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
)

func TestBackupBesideAServer(t *testing.T) {
	first, _ := letterBatches()
	dir := graveyard(t, first)
	file := filepath.Join(t.TempDir(), "backup.db")
	withFile(t, dir, func(db *sqlite.DB) {
		must(t, sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), first))
		got := try(t, "", on(dir), "backup", file)
		if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, file+" and "+sqlite.QueueBackup(file)+": ") || strings.Count(got.stdout, "\n") != 1 ||
			!strings.HasSuffix(got.stdout, " MB, checked; 0 raw events, 0 calls in statistics, 2 events in the queue, 1 dead letters\n") {
			t.Errorf("result is %+v", got)
		}
	})
	got := try(t, "", on(dir), "backup", file)
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "exists: name a file that does not") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("the second time: %+v", got)
	}
}

// The command that is printed can be copied into a shell, and holds no password.
func TestBackupOfPostgreSQLNamesTheCommand(t *testing.T) {
	for database, want := range map[string]string{
		"DATABASE_URL=postgres://u:hunter2@db.example:5433/d?sslmode=require": "'postgres://u@db.example:5433/d?sslmode=require'",
		"DATABASE_URL=postgres:///d?host=/run/pg&user=u&password=hunter2":     "'postgres:///d?host=%2Frun%2Fpg&user=u'",
	} {
		got := try(t, "", []string{database, "REDIS_URL=redis://:hunter2@q"}, "backup", "it's here.dump")
		command := `pg_dump --format=custom --file='it'\''s here.dump' ` + want + "\n"
		if got.code != 1 || got.stdout != "" || !strings.HasSuffix(got.stderr, command) || strings.Contains(got.stderr, "hunter2") {
			t.Errorf("result is %+v, want %s", got, command)
		}
	}
}
