package bootstrap

import (
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
)

// server is how an operator names a server: by a URL or part by part.
type server struct {
	name, url string
	// check finds what is wrong with a URL, and hide makes one fit to print.
	check func(string) error
	hide  func(string) string
	// required are the parts that are needed, optional those that are not.
	required, optional []string
}

var (
	postgresServer = server{
		name: "PostgreSQL", url: "DATABASE_URL", check: postgres.CheckURL, hide: postgres.HidePassword,
		required: []string{"DB_HOST", "DB_NAME", "DB_USER"},
		optional: []string{"DB_PORT", "DB_PASSWORD", "DB_SSLMODE"},
	}
	redisServer = server{
		name: "Redis", url: "REDIS_URL", check: redis.CheckURL, hide: redis.HidePassword,
		required: []string{"REDIS_HOST"},
		optional: []string{"REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"},
	}
)

// usesServers reports whether queue and store are in servers. Otherwise they
// are in DATA_DIR.
func (c *Config) usesServers() bool { return c.names(postgresServer) }

// names reports whether anything of the server is configured.
func (c *Config) names(s server) bool {
	return len(c.given(slices.Concat([]string{s.url}, s.required, s.optional))) > 0
}

// given returns those of the variables that do not have their default.
func (c *Config) given(variables []string) []string {
	var given []string
	for field, value := range reflect.ValueOf(*c).Fields() {
		name := field.Tag.Get("env")
		if slices.Contains(variables, name) && fmt.Sprint(value.Interface()) != field.Tag.Get("envDefault") {
			given = append(given, name)
		}
	}
	return given
}

// checkServers finds servers that are named twice or in part, or that lack the
// other one.
func (c *Config) checkServers(p *problems) {
	c.checkServer(p, postgresServer, string(c.DatabaseURL))
	c.checkServer(p, redisServer, string(c.RedisURL))
	store, queue := c.names(postgresServer), c.names(redisServer)
	switch {
	case store && !queue:
		p.lacks(redisServer, postgresServer)
	case queue && !store:
		p.lacks(postgresServer, redisServer)
	case !store && c.Role.shares():
		for _, s := range []server{postgresServer, redisServer} {
			p.add(s.url, fmt.Sprintf("is not set: analytics %s needs %s, which other processes can reach too; "+
				"set %s or %s, or run analytics serve, which needs neither", c.Role, s.name, s.url, s.required[0]))
		}
	}
}

func (p *problems) lacks(missing, present server) {
	p.add(missing.url, fmt.Sprintf("is not set, but %s is configured, and one works only with the other: "+
		"set %s or %s too, or remove what names %s to keep everything in DATA_DIR",
		present.name, missing.url, missing.required[0], present.name))
}

func (c *Config) checkServer(p *problems, s server, text string) {
	parts := c.given(slices.Concat(s.required, s.optional))
	if text != "" {
		for _, part := range parts {
			p.add(part, fmt.Sprintf("is set beside %s: keep one of them", s.url))
		}
		if err := s.check(text); err != nil {
			p.add(s.url, err.Error())
		}
		return
	}
	if len(parts) == 0 {
		return
	}
	for _, part := range s.required {
		if !slices.Contains(parts, part) {
			p.add(part, fmt.Sprintf("is not set, but %s is: give %s, or %s instead of them",
				parts[0], strings.Join(s.required, ", "), s.url))
		}
	}
}

// withoutPassword returns the URL that the variable has fit to print.
func withoutPassword(variable, text string) string {
	if text == "" {
		return ""
	}
	for _, s := range []server{postgresServer, redisServer} {
		if s.url == variable {
			return s.hide(text)
		}
	}
	return Secret(text).String()
}

// databaseURL is DATABASE_URL or what its parts make.
func (c *Config) databaseURL() string {
	if c.DatabaseURL != "" {
		return string(c.DatabaseURL)
	}
	u := url.URL{Scheme: "postgres", Path: "/" + c.DBName, User: userOf(c.DBUser, c.DBPassword)}
	query := make(url.Values)
	if c.DBSSLMode != "" {
		query.Set("sslmode", c.DBSSLMode)
	}
	if strings.HasPrefix(c.DBHost, "/") || strings.Contains(c.DBHost, ",") { // the directory of a socket, or several hosts
		query.Set("host", c.DBHost)
		query.Set("port", strconv.Itoa(c.DBPort))
	} else {
		u.Host = net.JoinHostPort(c.DBHost, strconv.Itoa(c.DBPort))
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// redisURL is REDIS_URL or what its parts make.
func (c *Config) redisURL() string {
	if c.RedisURL != "" {
		return string(c.RedisURL)
	}
	u := url.URL{
		Scheme: "redis", Host: net.JoinHostPort(c.RedisHost, strconv.Itoa(c.RedisPort)),
		Path: "/" + strconv.Itoa(c.RedisDB), User: userOf("", c.RedisPassword),
	}
	return u.String()
}

func userOf(name string, password Secret) *url.Userinfo {
	switch {
	case password != "":
		return url.UserPassword(name, string(password))
	case name != "":
		return url.User(name)
	default:
		return nil
	}
}
