package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// result is what a run of the command left.
type result struct {
	code           int
	stdout, stderr string
}

// try runs the command with that standard input.
func try(t *testing.T, stdin string, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code := program{
		stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
		environ: environ, dotenv: filepath.Join(t.TempDir(), ".env"),
	}.run(ctx, args)
	return result{code, stdout.String(), stderr.String()}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsage(t *testing.T) {
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"help":                  {[]string{"help"}, 0, "Usage: analytics", ""},
		"help flag":             {[]string{"--help"}, 0, "Usage: analytics", ""},
		"help of a command":     {[]string{"serve", "-h"}, 0, "Usage: analytics", ""},
		"version":               {[]string{"version"}, 0, "analytics ", ""},
		"version flag":          {[]string{"--version"}, 0, "analytics ", ""},
		"no such command":       {[]string{"server"}, 2, "", `there is no command "server"`},
		"no such flag":          {[]string{"serve", "--port=1"}, 2, "", "analytics serve: flag provided but not defined"},
		"too many arguments":    {[]string{"config", "x"}, 2, "", "analytics config: takes no arguments"},
		"validate what":         {[]string{"validate"}, 2, "", "analytics validate: name at least one file"},
		"validate with no flag": {[]string{"validate", "-x"}, 2, "", "analytics validate: flag provided but not defined"},
		"migrate what":          {[]string{"migrate"}, 2, "", "analytics migrate: say up, down, redo or status"},
		"migrate sideways":      {[]string{"migrate", "left"}, 2, "", `analytics migrate: there is no "left": say up`},
		"migrate up surely":     {[]string{"migrate", "up", "--yes"}, 2, "", "analytics migrate: --yes and --force are for down and redo"},
		"migrate twice":         {[]string{"migrate", "up", "down"}, 2, "", "analytics migrate: too many arguments"},
		"rebuild what":          {[]string{"rebuild"}, 2, "", "analytics rebuild: give both --from and --to"},
		"rebuild without end":   {[]string{"rebuild", "--from=2026-11-01"}, 2, "", "give both --from and --to"},
		"rebuild of no time":    {[]string{"rebuild", "--from", "yesterday"}, 2, "", "give a date such as 2026-11-23"},
		"rebuild of nothing":    {[]string{"rebuild", "--from", "2026-11-02", "--to", "2026-11-02"}, 2, "", "the range is empty: --from must be before --to"},
		"rebuild by position":   {[]string{"rebuild", "2026-11-01"}, 2, "", "analytics rebuild: takes no arguments"},
		"letters what":          {[]string{"deadletters"}, 2, "", "analytics deadletters: say list, show, replay or purge"},
		"letters burnt":         {[]string{"deadletters", "burn"}, 2, "", `there is no "burn"`},
		"letters help":          {[]string{"deadletters", "--help"}, 0, "Usage: analytics", ""},
		"list help":             {[]string{"deadletters", "list", "-h"}, 0, "Usage: analytics", ""},
		"list one":              {[]string{"deadletters", "list", "x"}, 2, "", "analytics deadletters list: takes no arguments"},
		"show none":             {[]string{"deadletters", "show", "--json"}, 2, "", "analytics deadletters show: name one dead letter"},
		"show two":              {[]string{"deadletters", "show", "a", "b"}, 2, "", "analytics deadletters show: too many arguments"},
		"show all":              {[]string{"deadletters", "show", "--all"}, 2, "", "flag provided but not defined: -all"},
		"replay none":           {[]string{"deadletters", "replay"}, 2, "", "analytics deadletters replay: ids are missing: name dead letters, or say --all"},
		"purge none":            {[]string{"deadletters", "purge", "--json"}, 2, "", "analytics deadletters purge: ids are missing: name dead letters, or say --all"},
		"purge one and all":     {[]string{"deadletters", "purge", "a", "--all"}, 2, "", "analytics deadletters purge: name dead letters, or say --all, but not both"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := try(t, "", nil, test.args...)
			if got.code != test.code || !strings.Contains(got.stdout, test.stdout) || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("result is %+v", got)
			}
			if (got.stdout == "") != (test.stdout == "") || (got.stderr == "") != (test.stderr == "") {
				t.Errorf("wrong stream: %+v", got)
			}
			if test.code == 2 && (strings.Count(got.stderr, "\n") != 1 || !strings.HasSuffix(got.stderr, "; see analytics help\n")) {
				t.Errorf("not one sentence: %s", got.stderr)
			}
		})
	}
}

func TestVersionOfTheLinkerWins(t *testing.T) {
	version = "v9.8.7"
	t.Cleanup(func() { version = "" })
	if got := try(t, "", nil, "version"); !strings.HasPrefix(got.stdout, "analytics v9.8.7 (go1.") {
		t.Errorf("version is %q", got.stdout)
	}
}

func TestVersionTellsTheCommit(t *testing.T) {
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc123"}}}
	if got := commitOf(info); got != ", commit abc123" {
		t.Errorf("commit is %q", got)
	}
}

func TestConfigShowsSources(t *testing.T) {
	got := try(t, "", []string{"PORT=4321"}, "config")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("result is %+v", got)
	}
	var lines [][]string
	for line := range strings.Lines(got.stdout) {
		lines = append(lines, strings.Fields(line))
	}
	if want := []string{"PORT=4321", "environment"}; fmt.Sprint(lines[0]) != fmt.Sprint(want) {
		t.Errorf("first line is %v, want %v", lines[0], want)
	}
	if !strings.Contains(got.stdout, "MAX_QUEUE_SIZE=100000") || !strings.Contains(got.stdout, "REDIS_PORT=6379") {
		t.Errorf("settings are\n%s", got.stdout)
	}
}

func TestConfigurationErrors(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	environ := []string{"PORT=x", "LOG_FORMAT=xml", "REDIS_URL=redis:hunter2", "DATA_DIR=" + data}
	for _, args := range [][]string{{}, {"serve"}, {"config"}, {"validate", "-"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			got := try(t, "", environ, args...)
			if got.code != 2 {
				t.Errorf("exit code %d", got.code)
			}
			for _, variable := range []string{"\nPORT: ", "\nLOG_FORMAT: ", "\nREDIS_URL: "} {
				if !strings.Contains(got.stderr, variable) {
					t.Errorf("%q is not told in %s", variable, got.stderr)
				}
			}
			if strings.Contains(got.stdout+got.stderr, "hunter2") {
				t.Errorf("the secret is told: %+v", got)
			}
			if shown := strings.Contains(got.stdout, "REDIS_URL=***"); shown != (len(args) > 0 && args[0] == "config") {
				t.Errorf("settings are %q", got.stdout)
			}
			if _, err := os.Stat(data); !os.IsNotExist(err) {
				t.Errorf("DATA_DIR was made: %v", err)
			}
		})
	}
}

// event is one of this hour, with the tool given.
func event(tool string) string {
	return fmt.Sprintf(`{"version":"1.23.0","tool":%q,"status":"success","timestamp_hour":%q,"analytics_level":"minimal"}`,
		tool, time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339))
}

func batch(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		body    string
		environ []string
		code    int
		lines   []string
	}{
		"all good": {
			batch(event("get_forecast"), event("get_alerts")), nil, 0,
			[]string{"event 0: accepted", "event 1: accepted", "2 of 2 events accepted"},
		},
		"some bad": {
			batch(event("get_x"), event("get_forecast"), `{"Email":"x"}`, event("get_alerts")), nil, 1,
			[]string{
				"event 0: refused: tool: tool must be", "event 1: accepted", "event 2: refused: ", "event 3: accepted",
				"2 of 4 events accepted",
			},
		},
		"whole body":       {"[]", nil, 1, []string{"refused: the body must be an object"}},
		"not an object":    {batch("7"), nil, 1, []string{"event 0: refused: ", "0 of 1 events accepted"}},
		"empty batch":      {batch(), nil, 1, []string{"refused: the batch is empty"}},
		"too long":         {batch(event("get_forecast")) + strings.Repeat(" ", 1024), []string{"API_BODY_LIMIT_KB=1", "MAX_BATCH_SIZE=5"}, 1, []string{"refused: longer than API_BODY_LIMIT_KB (1) allows"}},
		"by configuration": {batch(event("get_x")), []string{"UNKNOWN_TOOL=count"}, 0, []string{"event 0: accepted", "1 of 1 events accepted"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := func(got result, source string) {
				t.Helper()
				if got.code != test.code || got.stderr != "" {
					t.Errorf("result is %+v", got)
				}
				lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
				if len(lines) != len(test.lines) {
					t.Fatalf("verdicts are\n%s", got.stdout)
				}
				for i, want := range test.lines {
					if !strings.HasPrefix(lines[i], source+": "+want) {
						t.Errorf("line %q, want %q", lines[i], want)
					}
				}
			}
			check(try(t, test.body, test.environ, "validate", "-"), "-")
			path := file(t, "batch.json", test.body)
			check(try(t, "", test.environ, "validate", path), path)
		})
	}
}

func TestValidateGoesOnAfterABadFile(t *testing.T) {
	good := file(t, "good.json", batch(event("get_forecast")))
	missing, directory := filepath.Join(t.TempDir(), "missing.json"), t.TempDir()
	got := try(t, "", nil, "validate", missing, directory, good)
	if got.code != 1 || !strings.Contains(got.stdout, good+": 1 of 1 events accepted") {
		t.Errorf("result is %+v", got)
	}
	for _, path := range []string{missing, directory} {
		if !strings.Contains(got.stderr, path) {
			t.Errorf("%s is not told in %s", path, got.stderr)
		}
	}
}

func TestServe(t *testing.T) {
	var stderr bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	ready, ended, dir := make(chan net.Addr, 1), make(chan int, 1), t.TempDir()
	go func() {
		ended <- program{
			stdout: io.Discard, stderr: &stderr, dotenv: filepath.Join(t.TempDir(), ".env"),
			environ: []string{"PORT=0", "BIND_ADDRESS=127.0.0.1", "DATA_DIR=" + dir},
			ready:   func(a net.Addr) { ready <- a },
		}.run(ctx, nil)
	}()
	address := <-ready
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address.String()+"/v1/health", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	if log := stderr.String(); !strings.Contains(log, `"msg":"ready","address":"`+address.String()) ||
		!strings.Contains(log, `"role":"serve","store":"sqlite","queue":"sqlite","data_dir":"`+dir+`"}`) {
		t.Errorf("log is %s", &stderr)
	}
}

func TestServeThatCannotStart(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	notADirectory := file(t, "data", "")
	tests := map[string]struct {
		environ []string
		says    string
	}{
		"port in use":   {[]string{"BIND_ADDRESS=127.0.0.1", "PORT=" + port, "DATA_DIR=" + t.TempDir()}, "port " + port + " is in use"},
		"no data there": {[]string{"PORT=0", "DATA_DIR=" + notADirectory}, notADirectory},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := try(t, "", test.environ, "serve")
			var told []string
			for line := range strings.Lines(got.stderr) {
				if !strings.HasPrefix(line, "{") { // a log line
					told = append(told, line)
				}
			}
			if got.code != 1 || len(told) != 1 || !strings.Contains(told[0], test.says) || strings.Contains(got.stderr, `"level":"ERROR"`) {
				t.Errorf("result is %+v", got)
			}
		})
	}
}
