package main

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

const (
	callColumns = "bucket,tool,version,country,service,calls,errors,cache_hits,cache_misses,retries,retries_observed,retried," +
		"timed,response_time_sum_ms,response_time_min_ms,response_time_max_ms,p50_ms,p95_ms,p99_ms,sessions\n"
	failureColumns = "bucket,tool,version,country,service,error_type,count,first_seen,last_seen\n"
)

// exportable stores three calls, of which the first two are merged and the
// third is in the journal, and the next day one more.
func exportable(t *testing.T, db *sqlite.DB) {
	t.Helper()
	first, second := letterBatches()
	late := contract.NewBatch(3, first.Events[0])
	late.Events[0].Hour = late.Events[0].Hour.Add(24 * time.Hour)
	store := sqlite.NewStore(db)
	for _, b := range []domain.Batch{first, second, late} {
		_, err := store.Store(t.Context(), []domain.Batch{b})
		must(t, err)
		if b.ID == first.ID {
			_, err := store.Merge(t.Context(), domain.Daily.Floor(b.Events[0].Hour), 1000, domain.Cutoffs{})
			must(t, err)
		}
	}
}

func TestExportBesideAServer(t *testing.T) {
	dir := t.TempDir()
	const (
		alerts   = "get_alerts,1,,,2,0,0,0,0,0,0,0,0,,,,,,0\n"
		forecast = "get_forecast,1.23.0,NP,noaa,1,1,0,1,2,1,1,1,184,184,184,184,184,184,1\n"
		failure  = "get_forecast,1.23.0,NP,noaa,timeout,1,"
		hour     = "2026-11-23T10:00:00Z"
		next     = "2026-11-24T10:00:00Z"
	)
	check := func(when string) {
		t.Helper()
		for line, want := range map[string]string{
			"":                  callColumns + "2026-11-23T00:00:00Z," + alerts + "2026-11-23T00:00:00Z," + forecast + "2026-11-24T00:00:00Z," + forecast,
			"--resolution hour": callColumns + hour + "," + alerts + hour + "," + forecast + next + "," + forecast,
			"--what errors":     failureColumns + "2026-11-23T00:00:00Z," + failure + hour + "," + hour + "\n2026-11-24T00:00:00Z," + failure + next + "," + next + "\n",
			"--from 2026-11-24": callColumns + "2026-11-24T00:00:00Z," + forecast,
			"--to 2026-11-24":   callColumns + "2026-11-23T00:00:00Z," + alerts + "2026-11-23T00:00:00Z," + forecast,
			// What begins in the range is exported, so ranges side by side have nothing twice.
			"--from 2026-11-23T00:00:01Z --to 2026-11-24":                                 callColumns,
			"--from 2026-11-23T10:00:00Z --to 2026-11-23T11:00:00Z --resolution hour":     callColumns + hour + "," + alerts + hour + "," + forecast,
			"--from 2026-11-23T11:00:00Z --to 2026-11-24T10:00:00Z --resolution=hour":     callColumns,
			"--from 2026-11-24 --format jsonl --what errors":                              `{"bucket":"2026-11-24T00:00:00Z","tool":"get_forecast","version":"1.23.0","country":"NP","service":"noaa","error_type":"timeout","count":1,"first_seen":"2026-11-24T10:00:00Z","last_seen":"2026-11-24T10:00:00Z"}` + "\n",
			"--from=2026-11-23 --to=2026-11-24T10:00:00Z --format=jsonl --what=errors -h": usage,
		} {
			got := try(t, "", on(dir), append([]string{"export"}, strings.Fields(line)...)...)
			if got.code != 0 || got.stderr != "" || got.stdout != want {
				t.Errorf("%s, export %s: %+v\nwant %s", when, line, got, want)
			}
		}
	}
	withFile(t, dir, func(db *sqlite.DB) {
		exportable(t, db)
		check("beside a server")
	})
	check("without one")
	withFile(t, dir, func(*sqlite.DB) {}) // it is not taken for a torn copy
}

// Both formats have the same names in the same order, and the same values.
func TestExportFormatsAgree(t *testing.T) {
	dir := t.TempDir()
	withFile(t, dir, func(db *sqlite.DB) { exportable(t, db) })
	for _, what := range exportWhats {
		table, err := csv.NewReader(strings.NewReader(try(t, "", on(dir), "export", "--what", what).stdout)).ReadAll()
		must(t, err)
		lines := strings.Split(strings.TrimSpace(try(t, "", on(dir), "export", "--format=jsonl", "--what", what).stdout), "\n")
		if len(table) != len(lines)+1 {
			t.Fatalf("%d rows and %d lines of %s", len(table)-1, len(lines), what)
		}
		for i, line := range lines {
			decoder := json.NewDecoder(strings.NewReader(line))
			decoder.UseNumber()
			_, err := decoder.Token()
			must(t, err)
			for column := 0; decoder.More(); column++ {
				name, err := decoder.Token()
				must(t, err)
				value, err := decoder.Token()
				must(t, err)
				text, _ := value.(string)
				if n, ok := value.(json.Number); ok {
					text = n.String()
				}
				if name != table[0][column] || text != table[i+1][column] {
					t.Errorf("line %d has %v %v, the table %s %s", i, name, value, table[0][column], table[i+1][column])
				}
			}
		}
	}
}

func TestExportIntoAFile(t *testing.T) {
	dir, name := t.TempDir(), filepath.Join(t.TempDir(), "calls.csv")
	withFile(t, dir, func(db *sqlite.DB) { exportable(t, db) })
	got := try(t, "", on(dir), "export", "--output", name)
	if got.code != 0 || got.stderr != "" || got.stdout != name+": 3 rows of calls\n" {
		t.Errorf("result is %+v", got)
	}
	text, err := os.ReadFile(name)
	must(t, err)
	info, err := os.Stat(name)
	must(t, err)
	if string(text) != try(t, "", on(dir), "export").stdout || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v and\n%s", info.Mode(), text)
	}
	got = try(t, "", on(dir), "export", "--output", name)
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "exists: name a file that does not") {
		t.Errorf("the second time: %+v", got)
	}
}

// No text that a client chooses is taken for a formula by a spreadsheet.
func TestExportHasNoFormulas(t *testing.T) {
	dir := t.TempDir()
	first, _ := letterBatches()
	event := first.Events[0]
	event.Version, event.ErrorType = "+A1-9", "-2.5"
	withFile(t, dir, func(db *sqlite.DB) {
		_, err := sqlite.NewStore(db).Store(t.Context(), []domain.Batch{contract.NewBatch(1, event)})
		must(t, err)
	})
	for line, want := range map[string]string{
		"export": ",get_forecast,'+A1-9,NP,", "export --what errors": ",get_forecast,'+A1-9,NP,noaa,'-2.5,1,",
		"export --format jsonl": `"version":"+A1-9"`, "export --what errors --format jsonl": `"error_type":"-2.5"`,
	} {
		if got := try(t, "", on(dir), strings.Fields(line)...); got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %+v, want %s", line, got, want)
		}
	}
	for text, want := range map[string]string{
		"1.0": "1.0", "": "", "=1+1": "'=1+1", "@a": "'@a", "\ta": "'\ta", "\ra": "'\ra", "1=2": "1=2", "a-b": "a-b",
	} {
		if got := cell(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// fails is an output of which no byte is taken.
type fails struct {
	err    error
	writes int
}

func (f *fails) Write([]byte) (int, error) {
	f.writes++
	return 0, f.err
}

// A reader such as head ends the export, as a full disk does. It does not go on
// reading what no reader takes.
func TestExportEndsWithItsReader(t *testing.T) {
	dir := t.TempDir()
	withFile(t, dir, func(db *sqlite.DB) { exportable(t, db) })
	for want, c := range map[string]struct {
		err  error
		code int
	}{
		"": {syscall.EPIPE, 0},
		"analytics: standard output cannot be written: no space left on device\n": {syscall.ENOSPC, 1},
	} {
		out, stderr := &fails{err: c.err}, new(bytes.Buffer)
		code := program{stdout: out, stderr: stderr, environ: on(dir), dotenv: filepath.Join(t.TempDir(), ".env")}.
			run(t.Context(), []string{"export", "--resolution=hour"})
		if code != c.code || stderr.String() != want || out.writes != 1 {
			t.Errorf("%v: exit code %d after %d writes: %s", c.err, code, out.writes, stderr)
		}
	}
}

// What cannot be exported is named, and leaves no file and the database as it was.
func TestExportThatFails(t *testing.T) {
	day := domain.Daily.Floor(contract.Now).Format(time.DateOnly)
	for name, c := range map[string]struct{ statement, want string }{
		"damage":           {`UPDATE packed_aggregates SET counts = substr(counts, 1, 9)`, "day " + day + "T00:00:00Z"},
		"a damaged column": {`UPDATE packed_aggregates SET latency = zeroblob(9)`, "analytics rebuild"},
		"damaged journal":  {`UPDATE aggregation_journal SET payload = zeroblob(9)`, "aggregation_journal, day " + day},
		"a newer schema":   {`INSERT INTO schema_versions (version_id, is_applied) VALUES (9000, true)`, "schema version 9000"},
		"an older schema":  {`DELETE FROM schema_versions WHERE version_id > 0`, "start the server of this version first"},
		"an earlier one":   {`DROP TABLE packed_aggregates`, "before its first release"},
		"none":             {`DROP TABLE schema_versions`, "holds no data yet"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			withFile(t, dir, func(db *sqlite.DB) { exportable(t, db) })
			path := filepath.Join(dir, "analytics.db")
			db, err := sql.Open("sqlite", path)
			must(t, err)
			if strings.HasPrefix(c.statement, "DROP TABLE packed") {
				_, err = db.ExecContext(t.Context(), `DROP VIEW hourly_aggregations; DROP VIEW daily_aggregations; DROP VIEW error_summary`)
				must(t, err)
			}
			_, err = db.ExecContext(t.Context(), c.statement)
			must(t, err)
			must(t, db.Close())
			before, err := os.ReadFile(path)
			must(t, err)
			got := try(t, "", on(dir), "export", "--output", out)
			if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, c.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("result is %+v, want %q", got, c.want)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("a part of an export stays")
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
				t.Errorf("the database has changed: %v", err)
			}
		})
	}
}
