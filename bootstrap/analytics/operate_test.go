package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// withFile does work on the embedded database in dir.
func withFile(t *testing.T, dir string, do func(db *sqlite.DB)) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// on configures the embedded store in dir. However slow the machine, it says
// nothing about that.
func on(dir string) []string { return []string{"DATA_DIR=" + dir, "SLOW_QUERY_MS=60000"} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// graveyard returns a data directory with these batches as dead letters.
func graveyard(t *testing.T, batches ...domain.Batch) string {
	t.Helper()
	dir := t.TempDir()
	withFile(t, dir, func(db *sqlite.DB) {
		q := sqlite.NewQueue(db, sqlite.QueueConfig{})
		for _, b := range batches {
			must(t, q.Enqueue(t.Context(), b))
			_, err := q.Receive(t.Context(), 1, 0)
			must(t, err)
			must(t, q.Bury(t.Context(), b.ID, "the store\nrefused\t\tit"))
		}
	})
	return dir
}

// left counts what is in the queue and what is buried.
func left(t *testing.T, dir string) (queued, buried int) {
	t.Helper()
	withFile(t, dir, func(db *sqlite.DB) {
		depth, err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Depth(t.Context())
		must(t, err)
		queued, buried = depth.Batches, depth.DeadLetters
	})
	return queued, buried
}

func letterBatches() (first, second domain.Batch) {
	detailed := domain.Event{
		Version: "1.23.0", Tool: "get_forecast", Status: domain.StatusError, Hour: contract.Now.Truncate(time.Hour),
		Level: domain.LevelDetailed, ErrorType: "timeout", ResponseTimeMS: domain.Some[int32](184), Service: "noaa",
		CacheHit: domain.Some(false), RetryCount: domain.Some[int32](2), Country: "NP", Parameters: `{"days":3}`,
		SessionID: "0123456789abcdef", SequenceNumber: domain.Some[int32](7),
	}
	odd := domain.Event{Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess, Hour: detailed.Hour, Level: domain.LevelMinimal, Parameters: "{"}
	return contract.NewBatch(1, detailed, odd), contract.NewBatch(2, odd)
}

func TestDeadLettersAreListed(t *testing.T) {
	first, second := letterBatches()
	dir := graveyard(t, first, second)
	got := try(t, "", on(dir), "deadletters", "list")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if got.code != 0 || got.stderr != "" || len(lines) != 3 || !strings.HasPrefix(lines[0], "ID ") {
		t.Fatalf("result is %+v", got)
	}
	for i, b := range []domain.Batch{first, second} {
		fields := strings.Fields(lines[i+1])
		if fields[0] != string(b.ID) || fields[2] != strconv.Itoa(len(b.Events)) || fields[3] != "1" ||
			strings.Join(fields[4:], " ") != "the store refused it" {
			t.Errorf("line %q of %s", lines[i+1], b.ID)
		}
		if _, err := time.Parse(time.RFC3339, fields[1]); err != nil {
			t.Error(err)
		}
	}

	got = try(t, "", on(dir), "deadletters", "list", "--json")
	var letters []map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &letters); err != nil || len(letters) != 2 ||
		letters[0]["id"] != string(first.ID) || letters[0]["event_count"] != 2.0 || letters[0]["reason"] != "the store\nrefused\t\tit" {
		t.Errorf("%v, %v", letters, err)
	}
}

func TestNoDeadLetters(t *testing.T) {
	environ := on(t.TempDir())
	for line, want := range map[string]string{
		"list":         "There are no dead letters.\n",
		"list --json":  "[]\n",
		"replay --all": "",
		"purge --all":  "0 of 0 purged\n",
	} {
		t.Run(line, func(t *testing.T) {
			got := try(t, "", environ, append([]string{"deadletters"}, strings.Fields(line)...)...)
			if got.code != 0 || got.stdout != want || got.stderr != "" {
				t.Errorf("result is %+v", got)
			}
		})
	}
}

func TestDeadLetterIsShown(t *testing.T) {
	first, _ := letterBatches()
	environ := on(graveyard(t, first))
	const detailed = `{"version":"1.23.0","tool":"get_forecast","status":"error","timestamp_hour":"2026-11-23T10:00:00Z",` +
		`"analytics_level":"detailed","error_type":"timeout","response_time_ms":184,"service":"noaa","cache_hit":false,` +
		`"retry_count":2,"country":"NP","parameters":{"days":3},"session_id":"0123456789abcdef","sequence_number":7}`
	got := try(t, "", environ, "deadletters", "show", string(first.ID))
	if got.code != 0 || !strings.Contains(got.stdout, "\n"+detailed+"\n") || !strings.Contains(got.stdout, `"parameters":"{"`) ||
		!strings.Contains(got.stdout, "reason       the store refused it\n") || !strings.Contains(got.stdout, "events       2\n") {
		t.Errorf("result is %+v", got)
	}
	for _, args := range [][]string{{"--json", string(first.ID)}, {string(first.ID), "--json"}} {
		got := try(t, "", environ, append([]string{"deadletters", "show"}, args...)...)
		var letter struct {
			ID         string `json:"id"`
			EventCount int    `json:"event_count"`
			Events     []json.RawMessage
		}
		if err := json.Unmarshal([]byte(got.stdout), &letter); err != nil || letter.ID != string(first.ID) || letter.EventCount != 2 || len(letter.Events) != 2 {
			t.Errorf("%+v, %v", letter, err)
		}
	}
	got = try(t, "", environ, "deadletters", "show", "unknown")
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "no dead letter") {
		t.Errorf("result is %+v", got)
	}
}

func TestUnreadableDeadLetter(t *testing.T) {
	first, _ := letterBatches()
	dir := graveyard(t, first)
	db, err := sql.Open("sqlite", filepath.Join(dir, "analytics-queue.db"))
	must(t, err)
	_, err = db.ExecContext(t.Context(), `UPDATE dead_letters SET payload = x'00'`)
	must(t, errors.Join(err, db.Close()))
	for line, want := range map[string]string{"list": "  unreadable  1  ", "show " + string(first.ID): "events       unreadable\n"} {
		got := try(t, "", on(dir), append([]string{"deadletters"}, strings.Fields(line)...)...)
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
	got := try(t, "", on(dir), "deadletters", "replay", "--all")
	if got.code != 1 || !strings.Contains(got.stdout, "cannot be read") {
		t.Errorf("replay: %+v", got)
	}
}

func TestDeadLettersAreReplayed(t *testing.T) {
	first, second := letterBatches()
	dir := graveyard(t, first, second)
	environ := on(dir)
	got := try(t, "", environ, "deadletters", "replay", "unknown", string(first.ID), string(first.ID))
	want := "unknown: there is no dead letter of that id\n" + string(first.ID) + ": replayed\n"
	if got.code != 1 || got.stdout != want || !strings.Contains(got.stderr, "not all") {
		t.Errorf("result is %+v", got)
	}
	if queued, buried := left(t, dir); queued != 1 || buried != 1 {
		t.Errorf("%d queued, %d buried", queued, buried)
	}
	got = try(t, "", append(environ, "MAX_QUEUE_SIZE=2", "MAX_BATCH_SIZE=2"), "deadletters", "replay", "--all", "--json")
	if got.code != 1 || !strings.Contains(got.stdout, `"replayed": false`) || !strings.Contains(got.stdout, "full") {
		t.Errorf("result is %+v", got)
	}
	got = try(t, "", environ, "deadletters", "replay", "--all", "--json")
	if got.code != 0 || !strings.Contains(got.stdout, `"replayed": true`) || got.stderr != "" {
		t.Errorf("result is %+v", got)
	}
	if queued, buried := left(t, dir); queued != 2 || buried != 0 {
		t.Errorf("%d queued, %d buried", queued, buried)
	}
}

func TestDeadLettersArePurged(t *testing.T) {
	first, second := letterBatches()
	dir := graveyard(t, first, second)
	environ := on(dir)
	if got := try(t, "", environ, "deadletters", "purge", "unknown", string(first.ID)); got.code != 1 || got.stdout != "1 of 2 purged\n" {
		t.Errorf("result is %+v", got)
	}
	if got := try(t, "", environ, "deadletters", "purge", "--all", "--json"); got.code != 0 || !strings.Contains(got.stdout, `"purged": 1`) {
		t.Errorf("result is %+v", got)
	}
	if queued, buried := left(t, dir); queued != 0 || buried != 0 {
		t.Errorf("%d queued, %d buried", queued, buried)
	}
}

// Commands on the store of a running server are refused in one sentence.
func TestFileInUse(t *testing.T) {
	dir := t.TempDir()
	withFile(t, dir, func(*sqlite.DB) {
		for _, line := range []string{
			"deadletters list", "deadletters purge --all", "migrate status", "rebuild --from 2026-11-01 --to 2026-11-02", "serve",
		} {
			got := try(t, "", append(on(dir), "PORT=0"), strings.Fields(line)...)
			if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "in use by another process: stop that one first") ||
				strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%s: %+v", line, got)
			}
		}
	})
}

func TestMigrateTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	environ := on(dir)
	taken := func(got result) bool {
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
		return got.code == 0 && len(lines) > 1 && !strings.Contains(lines[1], "not yet") && strings.HasPrefix(lines[1], "0001_initial.sql")
	}
	_, batch := letterBatches()
	events := int64(0)
	for _, verb := range []string{"status", "up", "redo --yes", "up"} {
		if verb == "redo --yes" {
			events = 0 // the only step has all tables
		}
		got := try(t, "", environ, append([]string{"migrate"}, strings.Fields(verb)...)...)
		if got.stdout = got.stdout[max(0, strings.Index(got.stdout, "STEP ")):]; !taken(got) {
			t.Errorf("%s: %+v", verb, got)
		}
		withFile(t, dir, func(db *sqlite.DB) {
			activity, err := sqlite.NewStore(db).Activity(t.Context())
			must(t, err)
			if activity.Events != events {
				t.Errorf("%d events after %s, want %d", activity.Events, verb, events)
			}
			_, err = sqlite.NewStore(db).Store(t.Context(), []domain.Batch{batch})
			must(t, err)
			events = 1
		})
	}
	for _, verb := range []string{"down", "redo"} {
		got := try(t, "", environ, "migrate", verb)
		if got.code != 1 || !strings.HasPrefix(got.stdout, "TO BE LOST WITH 0001_initial.sql  ROWS\n") ||
			!strings.Contains(got.stdout, "\ndimension_values                  1\n") || strings.Contains(got.stdout, "STEP") ||
			!strings.Contains(got.stderr, "nothing was changed: make a backup, then say --yes") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s without consent: %+v", verb, got)
		}
	}
	if got := try(t, "", environ, "migrate", "down", "--yes"); got.code != 0 || !strings.Contains(got.stdout, "not yet") {
		t.Errorf("down: %+v", got)
	}
	withFile(t, dir, func(db *sqlite.DB) {
		if _, err := sqlite.NewStore(db).Activity(t.Context()); err != nil {
			t.Errorf("the next start does not bring the schema back: %v", err)
		}
	})
}

func TestMigrateWithoutADirectory(t *testing.T) {
	notADirectory := file(t, "data", "")
	got := try(t, "", on(notADirectory), "migrate", "up")
	if got.code != 1 || !strings.Contains(got.stderr, notADirectory) {
		t.Errorf("result is %+v", got)
	}
}

func TestRebuild(t *testing.T) {
	dir := t.TempDir()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	event := domain.Event{Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess, Hour: today.Add(-25 * time.Hour), Level: domain.LevelMinimal}
	withFile(t, dir, func(db *sqlite.DB) {
		_, err := sqlite.NewStore(db).Store(t.Context(), []domain.Batch{contract.NewBatch(1, event, event)})
		must(t, err)
	})
	environ := on(dir)
	from, to := today.AddDate(0, 0, -2), today.AddDate(0, 0, -1)
	got := try(t, "", environ, "rebuild", "--from", from.Format(time.DateOnly), "--to="+to.Add(time.Second).Format(time.RFC3339))
	want := from.Format(time.DateOnly) + ": 2 events\n" + to.Format(time.DateOnly) + ": 0 events\n"
	if got.code != 0 || got.stdout != want || got.stderr != "" {
		t.Errorf("result is %+v, want %s", got, want)
	}
	got = try(t, "", environ, "rebuild", "--from", today.AddDate(0, 0, -120).Format(time.DateOnly), "--to", to.Format(time.DateOnly))
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "may be deleted already") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("result is %+v", got)
	}
}

func TestRebuildOfTheFuture(t *testing.T) {
	environ := on(t.TempDir())
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	if got := try(t, "", environ, "rebuild", "--from", day(-1), "--to", day(1)+"T12:00:00Z"); got.code != 0 || strings.Count(got.stdout, "\n") != 3 {
		t.Errorf("until tomorrow: %+v", got)
	}
	for _, test := range [][2]int{{-1, 3}, {0, 36_500}, {3, 5}} {
		got := try(t, "", environ, "rebuild", "--from", day(test[0]), "--to", day(test[1]))
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, "may not be after tomorrow, ") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", test, got)
		}
	}
}

// What the store warns of does not stand between the lines of the command, and
// many warnings of one kind are one line.
func TestRebuildPrintsItsOwnLinesAlone(t *testing.T) {
	dir := t.TempDir()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	const days = 3
	withFile(t, dir, func(db *sqlite.DB) {
		many := make([]domain.Event, 20_000) // which take longer than a millisecond to read
		for i := range many {
			many[i] = domain.Event{
				Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess, Level: domain.LevelMinimal,
				Hour: today.AddDate(0, 0, -1-i%days),
			}
		}
		_, err := sqlite.NewStore(db).Store(t.Context(), []domain.Batch{contract.NewBatch(1, many...)})
		must(t, err)
	})
	environ := []string{"DATA_DIR=" + dir, "SLOW_QUERY_MS=1", "LOG_LEVEL=debug"}
	stdout, stderr := new(strings.Builder), new(strings.Builder)
	code := program{
		stdin: strings.NewReader(""), stdout: io.MultiWriter(stdout, lineGuard{t, stderr}), stderr: stderr,
		environ: environ, dotenv: filepath.Join(dir, ".env"),
	}.run(t.Context(), []string{"rebuild", "--from", today.AddDate(0, 0, -days).Format(time.DateOnly), "--to", today.Format(time.DateOnly)})
	if code != 0 || strings.Count(stdout.String(), "\n") != days {
		t.Errorf("exit code %d, output %s", code, stdout)
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if len(lines) > 3 || !strings.HasPrefix(lines[0], "analytics: warning: slow query (query=") || !strings.Contains(stderr.String(), " more of these") {
		t.Errorf("warnings are %s", stderr)
	}
}

// lineGuard fails when standard error has something before standard output is
// complete.
type lineGuard struct {
	t      *testing.T
	stderr *strings.Builder
}

func (g lineGuard) Write(p []byte) (int, error) {
	if g.stderr.Len() > 0 {
		g.t.Errorf("before %q standard error has %q", p, g.stderr)
	}
	return len(p), nil
}

func TestRolesNeedServers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, role := range []string{"api", "worker"} {
		got := try(t, "", []string{"DATA_DIR=" + dir, "PORT=x"}, role)
		for _, variable := range []string{"PORT", "DATABASE_URL", "REDIS_URL"} {
			if !strings.Contains(got.stderr, "\n"+variable+": ") {
				t.Errorf("%s: %s is not told in %s", role, variable, got.stderr)
			}
		}
		if got.code != 2 || !strings.Contains(got.stderr, "analytics "+role+" needs PostgreSQL") {
			t.Errorf("%s: %+v", role, got)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("DATA_DIR was made: %v", err)
	}
}
