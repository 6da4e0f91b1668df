package bootstrap_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
)

// Whoever mistyped where the data is sees it in the first line.
func TestReadyNamesStoreAndQueue(t *testing.T) {
	here, err := filepath.Abs("data")
	if err != nil {
		t.Fatal(err)
	}
	const redis, database = "REDIS_URL=redis://:hunter2@q.example:6380/7", "DATABASE_URL=postgres://u:hunter2@db.example:5433/d"
	tests := map[string]struct {
		environ []string
		want    string
	}{
		"default":   {nil, "[store S queue S data_dir " + here + "]"},
		"directory": {[]string{"DATA_DIR=/var/lib/analytics"}, "[store S queue S data_dir /var/lib/analytics]"},
		"servers":   {[]string{database, redis}, "[store S queue redis store_host db.example:5433 queue_host q.example:6380]"},
		"socket": {
			[]string{"DATABASE_URL=postgres:///d?user=u&password=hunter2&host=/run/postgresql", redis},
			"[store S queue redis store_host /run/postgresql queue_host q.example:6380]",
		},
		"parts": {
			[]string{"DB_HOST=db", "DB_NAME=d", "DB_USER=u", "DB_PASSWORD=hunter2@x/y", "REDIS_HOST=::1", "REDIS_PASSWORD=hunter2"},
			"[store S queue redis store_host db:5432 queue_host [::1]:6379]",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := load(t, test.environ...)
			if got := fmt.Sprint(bootstrap.PlacesOf(&config, "S")); got != test.want || strings.Contains(got, "hunter2") {
				t.Errorf("places are %s, want %s", got, test.want)
			}
		})
	}
}

// Also of the forms of a connection string that name several servers.
func TestReadyNamesEveryHost(t *testing.T) {
	config := bootstrap.Config{DatabaseURL: "postgres://u:hunter2@h1:5432,h2:5432/db?target_session_attrs=read-write", RedisURL: "redis://q?db=7"}
	const want = "[store S queue redis store_host h1:5432,h2:5432 queue_host q:6379]"
	if got := fmt.Sprint(bootstrap.PlacesOf(&config, "S")); got != want {
		t.Errorf("places are %s, want %s", got, want)
	}
}
