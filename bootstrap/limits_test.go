package bootstrap_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

func TestLimitsTakeEffect(t *testing.T) {
	config := load(t)
	if got := bootstrap.LimitsOf(&config); got != (ports.Limits{Requests: 60, Burst: 10, Events: 1000}) {
		t.Errorf("the defaults are %+v", got)
	}
	config = load(t, "RATE_LIMIT_PER_MINUTE=7", "RATE_LIMIT_BURST=6", "RATE_LIMIT_EVENTS_PER_MINUTE=500")
	if got := bootstrap.LimitsOf(&config); got != (ports.Limits{Requests: 7, Burst: 6, Events: 500}) {
		t.Errorf("limits are %+v", got)
	}
	// What is off needs not fit together.
	load(t, "RATE_LIMIT_PER_MINUTE=0", "MAX_BATCH_SIZE=1001")
}

// Who gives a bound believes that there is one.
func TestBoundsOfLimitsThatAreOff(t *testing.T) {
	for _, bound := range []string{"RATE_LIMIT_BURST", "RATE_LIMIT_EVENTS_PER_MINUTE"} {
		found := problems(t, []string{"RATE_LIMIT_PER_MINUTE=0", bound + "=500"}, "no-such-file")
		if len(found) != 1 || found[0].Variable != bound || !strings.Contains(found[0].Message, "RATE_LIMIT_PER_MINUTE is 0, which switches all limits off") {
			t.Errorf("problems are %q", found)
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "[]",
		" , ":                       "[]",
		"10.0.0.0/8, 127.0.0.1":     "[10.0.0.0/8 127.0.0.1/32]",
		"::1,fd00::/8":              "[::1/128 fd00::/8]",
		"::ffff:10.0.0.0/104":       "[10.0.0.0/8]",
		"::ffff:192.0.2.1":          "[192.0.2.1/32]",
		"10.1.2.3/8":                "names a network by an address inside it: give 10.0.0.0/8",
		"0.0.0.0/0":                 "anybody could pretend",
		"::/0":                      "anybody could pretend",
		"::ffff:0.0.0.0/96":         "anybody could pretend",
		"10.0.0.0/33":               "give networks such as",
		"10.0.0":                    "give networks such as",
		"fe80::1%eth0":              "give networks such as",
		"10.0.0.1 10.0.0.2":         "give networks such as",
		"10.0.0.1:80":               "give networks such as",
		"localhost":                 `has "localhost" in it`,
		"192.0.2.1,,198.51.100.0/3": "names a network",
	} {
		t.Run(text, func(t *testing.T) {
			environ := []string{"TRUSTED_PROXIES=" + text}
			if !strings.HasPrefix(want, "[") {
				found := problems(t, environ, "no-such-file")
				if len(found) != 1 || found[0].Variable != "TRUSTED_PROXIES" || !strings.Contains(found[0].Message, want) {
					t.Errorf("problems are %q", found)
				}
				return
			}
			config := load(t, environ...)
			if got := fmt.Sprint(bootstrap.ProxiesOf(&config)); got != want {
				t.Errorf("proxies are %s, want %s", got, want)
			}
		})
	}
}

// get asks with a header. It returns the status, and when to retry.
func get(t *testing.T, url, path string, header ...string) (status int, retryAfter string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := web.Fresh.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("Retry-After")
}

func TestServiceLimits(t *testing.T) {
	store := memory.NewStore()
	service := start(t, inMemory(memory.NewQueue(memory.QueueConfig{}), store, store),
		"RATE_LIMIT_PER_MINUTE=3", "RATE_LIMIT_BURST=3")
	var statuses []int
	for i := range 5 {
		// What a stranger says of its way makes no difference.
		status, _ := get(t, service.url, "/v1/catalogue", "X-Forwarded-For", "198.51.100."+strconv.Itoa(i))
		statuses = append(statuses, status)
	}
	if want := []int{200, 200, 200, 429, 429}; !slices.Equal(statuses, want) {
		t.Errorf("answers are %v, want %v", statuses, want)
	}
	if status, _ := get(t, service.url, "/v1/health"); status != http.StatusOK {
		t.Errorf("health is %d", status)
	}
}

// Two APIs on one Redis share the limits, but for a share each, and believe their
// proxy.
func TestAPIsShareLimits(t *testing.T) {
	database, redis := servers.Postgres(t, "fsync=off").NewDatabase(t), servers.Redis(t).URL()
	environ := []string{
		"DATABASE_URL=" + database, "REDIS_URL=" + redis, "QUEUE_KEY=limits", "PORT=0", "BIND_ADDRESS=127.0.0.1",
		"RATE_LIMIT_PER_MINUTE=60", "RATE_LIMIT_BURST=60", "TRUSTED_PROXIES=127.0.0.1",
	}
	var urls []string
	for range 2 {
		urls = append(urls, "http://"+startRole(t, bootstrap.RoleAPI, nil, environ...).String())
	}
	for _, client := range []string{"203.0.113.9", "2001:db8::1"} {
		granted := 0
		for i := range 100 {
			status, retryAfter := get(t, urls[i%2], "/v1/catalogue", "X-Forwarded-For", client)
			switch status {
			case http.StatusOK:
				granted++
			case http.StatusTooManyRequests:
				if retryAfter == "" {
					t.Error("nothing tells when to retry")
				}
			default:
				t.Fatalf("status %d", status)
			}
		}
		limits := ports.Limits{Requests: 60, Burst: 60}
		if most := limits.Requests + 2*limits.Share().Requests; granted < limits.Requests || granted > most {
			t.Errorf("%d requests of %s granted, want 60 to %d", granted, client, most)
		}
	}
}
