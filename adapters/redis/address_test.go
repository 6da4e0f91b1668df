package redis_test

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// TestEveryFormOfAURLReachesItsDatabase writes through each and looks where that
// went.
func TestEveryFormOfAURLReachesItsDatabase(t *testing.T) {
	// The paths of sockets are short.
	socket := filepath.Join(shortDir(t), "s")
	server := servers.Redis(t, "requirepass hunter2", "unixsocket "+socket)
	console := newConsole(t, server.URL())
	at := server.Address()
	for form, database := range map[string]int{
		"redis://:hunter2@" + at:                                           0,
		"redis://hunter2@" + at:                                            0,
		"redis://default:hunter2@" + at + "/":                              0,
		"redis://:hunter2@" + at + "/3":                                    3,
		"redis://:hunter2@" + at + "?db=7":                                 7,
		"redis://:hunter2@" + at + "/?db=8":                                8,
		"redis://:hunter2@" + at + "/4?db=4":                               4,
		"redis://:hunter2@localhost:" + strconv.Itoa(server.Port()) + "/5": 5,
		"unix://:hunter2@" + socket + "?db=9":                              9,
		"unix://default:hunter2@" + socket:                                 0,
		"redis+socket://:hunter2@" + socket + "?db=10":                     10,
	} {
		t.Run(form, func(t *testing.T) {
			pool := open(t, redis.Config{URL: form, Prefix: newPrefix()})
			before := keysOf(t, console, database)
			must(t, redis.NewQueue(pool, redis.QueueConfig{}).Enqueue(t.Context(), batchOf(1, 1)))
			if after := keysOf(t, console, database); after <= before {
				t.Errorf("nothing new in database %d", database)
			}
		})
	}
}

// shortDir returns a folder whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "r") //nolint:usetesting // the path of t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func keysOf(t *testing.T, console console, database int) int64 {
	t.Helper()
	console.do("SELECT", database)
	return console.do("DBSIZE").(int64)
}

func TestURLsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"redis://h?bd=7":                       "has the parameter bd, which is not known",
		"redis://h/3?db=7":                     "names two databases",
		"redis://h/0?db=7":                     "names two databases",
		"redis://h?db=1&db=2":                  "names two databases",
		"redis://h?db=x":                       "a database that is no number",
		"redis://h/-1":                         "a database that is no number",
		"redis://h?password=hunter2":           "has the parameter password",
		"redis://a:1,b:2":                      "one server is supported, without Sentinel and Cluster",
		"redis-sentinel://a:26379/mymaster":    "one server is supported, without Sentinel and Cluster",
		"redis+sentinel://:hunter2@a/mymaster": "one server is supported, without Sentinel and Cluster",
		"redis-cluster://a:1":                  "one server is supported, without Sentinel and Cluster",
		"redis://h:0":                          "must have the form",
		"redis://h:65536":                      "must have the form",
		"redis://h#hunter2":                    "must have the form",
		"redis://:a@hunter2@h":                 "must have the form",
		"redis://:a/hunter2@h":                 "must have the form",
		"unix://run/redis.sock":                "must have the form",
	} {
		err := redis.CheckURL(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestPasswordsAreHiddenInEveryForm(t *testing.T) {
	for text, want := range map[string]string{
		"redis://:hunter2@h:1/2":           "redis://:***@h:1/2",
		"redis://user:hunter2@h?db=7":      "redis://user:***@h?db=7",
		"redis://hunter2@h":                "redis://***@h",
		"rediss://h/1":                     "rediss://h/1",
		"unix://:hunter2@/run/s?db=1":      "unix://:***@/run/s?db=1",
		"redis+sentinel://:hunter2@a/name": "***",
		"redis://:a/hunter2@h":             "***",
	} {
		if got := redis.HidePassword(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

// TestSentinelIsRecognised asks a Sentinel that a plain URL names.
func TestSentinelIsRecognised(t *testing.T) {
	sentinel := servers.Redis(t, "sentinel yes")
	for _, path := range []string{"", "/7"} {
		checkNotOpen(t, redis.Config{URL: sentinel.URL() + path}, "a Sentinel cannot be used: let REDIS_URL name the primary")
	}
	checkNotOpen(t, redis.Config{URL: sentinel.URL(), ByParts: true}, "let REDIS_HOST name the primary")
}

// TestErrorsNameTheVariableThatWasUsed: a server named by its parts has no
// REDIS_URL to correct.
func TestErrorsNameTheVariableThatWasUsed(t *testing.T) {
	server := servers.Redis(t, "requirepass correct")
	for byParts, want := range map[bool]string{false: "correct REDIS_URL:", true: "correct REDIS_PASSWORD:"} {
		_, err := redis.Open(t.Context(), redis.Config{URL: "redis://:hunter2@" + server.Address(), ByParts: byParts})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		checkCode(t, err, domain.CodeUnavailable)
	}
	nobody := net.JoinHostPort("127.0.0.1", strconv.Itoa(servers.FreePort(t)))
	u := url.URL{Scheme: "redis", Host: nobody}
	checkNotOpen(t, redis.Config{URL: u.String()}, "cannot be reached")
}
