package bootstrap_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
)

const (
	aDatabase = "DATABASE_URL=postgres://user:hunter2@db.example:5433/stats?sslmode=require"
	aRedis    = "REDIS_URL=rediss://:hunter2@queue.example:6380/2"
)

func TestServersAreNamedWholeAndOnce(t *testing.T) {
	tests := map[string]struct {
		role    bootstrap.Role
		environ []string
		// want are problems as "VARIABLE: words of the message".
		want []string
	}{
		"none":           {bootstrap.RoleServe, nil, nil},
		"both by URL":    {bootstrap.RoleServe, []string{aDatabase, aRedis}, nil},
		"both for API":   {bootstrap.RoleAPI, []string{aDatabase, aRedis}, nil},
		"part by part":   {bootstrap.RoleWorker, []string{"DB_HOST=db", "DB_NAME=n", "DB_USER=u", "REDIS_HOST=r"}, nil},
		"in either form": {bootstrap.RoleServe, []string{aDatabase, "REDIS_HOST=r", "REDIS_PASSWORD=p"}, nil},
		"defaults as in the example": {
			bootstrap.RoleServe,
			[]string{aDatabase, aRedis, "DB_PORT=5432", "REDIS_PORT=6379", "REDIS_DB=0", "DB_HOST="},
			nil,
		},
		"no Redis": {bootstrap.RoleServe, []string{aDatabase}, []string{
			"REDIS_URL: PostgreSQL is configured, and one works only with the other: set REDIS_URL or REDIS_HOST too, " +
				"or remove what names PostgreSQL",
		}},
		"no PostgreSQL": {bootstrap.RoleWorker, []string{"REDIS_HOST=r"}, []string{
			"DATABASE_URL: Redis is configured, and one works only with the other: set DATABASE_URL or DB_HOST too",
		}},
		"API without any": {bootstrap.RoleAPI, nil, []string{
			"DATABASE_URL: analytics api needs PostgreSQL", "REDIS_URL: analytics api needs Redis",
		}},
		"worker without any": {bootstrap.RoleWorker, nil, []string{
			"DATABASE_URL: analytics worker needs PostgreSQL", "REDIS_URL: analytics worker needs Redis",
		}},
		"twice": {
			bootstrap.RoleServe,
			[]string{aDatabase, "DB_HOST=db", "DB_PORT=5433", "DB_PASSWORD=hunter2", aRedis, "REDIS_PORT=1", "REDIS_DB=2"},
			[]string{
				"DB_HOST: beside DATABASE_URL", "DB_PORT: beside DATABASE_URL", "DB_PASSWORD: beside DATABASE_URL",
				"REDIS_PORT: beside REDIS_URL", "REDIS_DB: beside REDIS_URL",
			},
		},
		"in part": {bootstrap.RoleServe, []string{"DB_HOST=db", "REDIS_PASSWORD=hunter2"}, []string{
			"DB_NAME: DB_HOST is: give DB_HOST, DB_NAME, DB_USER, or DATABASE_URL", "DB_USER: DB_HOST is",
			"REDIS_HOST: REDIS_PASSWORD is: give REDIS_HOST, or REDIS_URL",
		}},
		"out of bounds": {
			bootstrap.RoleServe,
			[]string{"DB_HOST=db", "DB_NAME=n", "DB_USER=u", "DB_PORT=0", "DB_SSLMODE=on", "REDIS_HOST=r", "REDIS_PORT=x", "REDIS_DB=-1"},
			[]string{
				"DB_PORT: from 1 to 65535", "DB_SSLMODE: disable or allow or prefer or require", "REDIS_PORT: a whole number",
				"REDIS_DB: from 0 to",
			},
		},
		"pairs": {bootstrap.RoleServe, []string{"DATABASE_URL=host=db password=hunter2", aRedis}, nil},
		"several hosts": {
			bootstrap.RoleServe,
			[]string{"DATABASE_URL=postgres://u:hunter2@h1:5432,h2:5432/db?target_session_attrs=read-write", aRedis},
			nil,
		},
		"a database in the query": {bootstrap.RoleServe, []string{aDatabase, "REDIS_URL=redis://h:6379?db=7"}, nil},
		"no URLs": {
			bootstrap.RoleServe,
			[]string{"DATABASE_URL=hunter2", "REDIS_URL=queue.example:6379"},
			[]string{"DATABASE_URL: give postgres://user:password@host", "REDIS_URL: must have the form redis://"},
		},
		"other URLs": {
			bootstrap.RoleServe,
			[]string{"DATABASE_URL=mysql://db/hunter2", "REDIS_URL=https://queue.example"},
			[]string{"DATABASE_URL: is not such an address", "REDIS_URL: must have the form redis://"},
		},
		"parameters that are not known": {
			bootstrap.RoleServe,
			[]string{"DATABASE_URL=postgres://db/stats?sslmod=require", "REDIS_URL=redis://queue?database=7"},
			[]string{"DATABASE_URL: has the parameter sslmod", "REDIS_URL: has the parameter database"},
		},
		"Sentinel": {bootstrap.RoleServe, []string{aDatabase, "REDIS_URL=redis+sentinel://:hunter2@a:26379/mymaster"}, []string{
			"REDIS_URL: one server is supported, without Sentinel",
		}},
		"no Redis host": {bootstrap.RoleServe, []string{"DATABASE_URL=postgres:///stats", "REDIS_URL=redis:///1"}, []string{
			"REDIS_URL: must have the form redis://",
		}},
		"passwords with special characters": {
			bootstrap.RoleServe,
			[]string{"DATABASE_URL=postgres://u:12/hunter2@db/n", "REDIS_URL=redis://:#hunter2@queue"},
			[]string{"DATABASE_URL: special characters", "REDIS_URL: special characters"},
		},
		"a password with an @": {bootstrap.RoleServe, []string{"DATABASE_URL=postgres://u:a@hunter2@db/n", aRedis}, []string{
			"DATABASE_URL: such as %40 for @",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, settings, err := bootstrap.Load(test.environ, "no-such-file", test.role)
			var found []bootstrap.Problem
			if e, ok := errors.AsType[*bootstrap.ConfigError](err); ok {
				found = e.Problems
			} else if config.Role != test.role {
				t.Errorf("role is %q", config.Role)
			}
			for _, want := range test.want {
				variable, says, _ := strings.Cut(want, ": ")
				if !slices.ContainsFunc(found, func(p bootstrap.Problem) bool {
					return p.Variable == variable && strings.Contains(p.Message, says)
				}) {
					t.Errorf("nothing like %q", want)
				}
			}
			if len(found) != len(test.want) {
				t.Errorf("problems are %q", found)
			}
			for _, told := range texts(found, settings) {
				if strings.Contains(told, "hunter2") {
					t.Errorf("a secret is told: %s", told)
				}
			}
		})
	}
}

// texts is all that an operator reads of a configuration.
func texts(found []bootstrap.Problem, settings []bootstrap.Setting) []string {
	var all []string
	for _, p := range found {
		all = append(all, p.Message)
	}
	for _, s := range settings {
		all = append(all, s.Value)
	}
	return all
}

func TestURLsAreShownWithoutPasswords(t *testing.T) {
	tests := map[string]string{
		"DATABASE_URL=postgres://user:hunter2@db:5433/stats?sslmode=require": "postgres://user:***@db:5433/stats?sslmode=require",
		"DATABASE_URL=postgres://user@db/stats":                              "postgres://user@db/stats",
		"DATABASE_URL=postgres://db/stats":                                   "postgres://db/stats",
		"DATABASE_URL=postgres://db/s?password=hunter2&user=u":               "postgres://db/s?password=***&user=u",
		"DATABASE_URL=postgresql:///s?host=/run&user=u":                      "postgresql:///s?host=/run&user=u",
		"DATABASE_URL=host=db password=hunter2":                              "host=db password=***",
		"DATABASE_URL=host=db password=my hunter2":                           "***",
		"REDIS_URL=redis://hunter2@queue?db=7":                               "redis://***@queue?db=7",
		"DATABASE_URL=postgres://u:1/hunter2@db/n":                           "***",
		"REDIS_URL=rediss://:hunter2@queue:6380/2":                           "rediss://:***@queue:6380/2",
		"REDIS_URL=hunter2":                                                  "***",
		"REDIS_URL=":                                                         "",
	}
	for environ, want := range tests {
		t.Run(environ, func(t *testing.T) {
			name, _, _ := strings.Cut(environ, "=")
			_, settings, _ := bootstrap.Load([]string{environ}, "no-such-file", bootstrap.RoleServe)
			i := slices.IndexFunc(settings, func(s bootstrap.Setting) bool { return s.Name == name })
			if i < 0 || settings[i].Value != want {
				t.Errorf("settings are %v", settings)
			}
		})
	}
}

func TestPartsMakeURLs(t *testing.T) {
	const odd = `p@ss:/?#%&="' `
	config := load(t, "DB_HOST=db.example", "DB_PORT=5433", "DB_NAME=my stats", "DB_USER=u@x", "DB_PASSWORD="+odd, "DB_SSLMODE=verify-full",
		"REDIS_HOST=::1", "REDIS_PORT=6380", "REDIS_PASSWORD="+odd, "REDIS_DB=3")
	got, err := pq.NewConfig(bootstrap.DatabaseURLOf(&config))
	if err != nil {
		t.Fatal(err)
	}
	if got.Host != "db.example" || got.Port != 5433 || got.Database != "my stats" || got.User != "u@x" || got.Password != odd ||
		got.SSLMode != pq.SSLModeVerifyFull {
		t.Errorf("PostgreSQL is at %+v", got)
	}
	u, err := url.Parse(bootstrap.RedisURLOf(&config))
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := u.User.Password(); u.Scheme != "redis" || u.Host != "[::1]:6380" || u.Path != "/3" || password != odd || u.User.Username() != "" {
		t.Errorf("Redis is at %v", u)
	}

	config = load(t, "DB_HOST=/run/postgresql", "DB_NAME=stats", "DB_USER=u", "REDIS_HOST=r")
	if got, err = pq.NewConfig(bootstrap.DatabaseURLOf(&config)); err != nil {
		t.Fatal(err)
	}
	if got.Host != "/run/postgresql" || got.Port != 5432 || got.Database != "stats" || got.User != "u" {
		t.Errorf("PostgreSQL is at %+v", got)
	}
	if got := bootstrap.RedisURLOf(&config); got != "redis://r:6379/0" {
		t.Errorf("Redis is at %s", got)
	}

	config = load(t, aDatabase, aRedis)
	if "DATABASE_URL="+bootstrap.DatabaseURLOf(&config) != aDatabase || "REDIS_URL="+bootstrap.RedisURLOf(&config) != aRedis {
		t.Errorf("URLs are changed to %s and %s", bootstrap.DatabaseURLOf(&config), bootstrap.RedisURLOf(&config))
	}
}
