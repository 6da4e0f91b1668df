package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// server is how an operator names a server: by a URL or part by part.
type server struct {
	name    string
	url     string
	schemes []string
	// form is how the URL looks.
	form string
	// required are the parts that are needed, optional those that are not.
	required, optional []string
}

var (
	postgresServer = server{
		name: "PostgreSQL", url: "DATABASE_URL", schemes: []string{"postgres", "postgresql"},
		form:     "postgres://user:password@host:port/database",
		required: []string{"DB_HOST", "DB_NAME", "DB_USER"},
		optional: []string{"DB_PORT", "DB_PASSWORD", "DB_SSLMODE"},
	}
	redisServer = server{
		name: "Redis", url: "REDIS_URL", schemes: []string{"redis", "rediss"},
		form:     "redis://user:password@host:port/database, or rediss:// for TLS",
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
		if _, err := parseURL(text, s.schemes); err != nil {
			p.add(s.url, fmt.Sprintf("%v: give %s", err, s.form))
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

var (
	errNotAURL = errors.New("is not such a URL")
	errNotSafe = errors.New("cannot be read: write special characters of user and password as %XX, such as %40 for @")
)

// parseURL reads the URL of a server. Its errors do not repeat the text, which
// may hold a password.
func parseURL(text string, schemes []string) (*url.URL, error) {
	u, err := url.Parse(text)
	signs := strings.Count(text, "@")
	switch {
	case signs > 1, signs == 1 && (err != nil || u.User == nil):
		return nil, errNotSafe // a password with a / or @ in it moves its rest elsewhere
	case err != nil, u.Opaque != "", !slices.Contains(schemes, u.Scheme), u.Host == "" && !u.Query().Has("host"):
		return nil, errNotAURL
	default:
		return u, nil
	}
}

// withoutPassword returns the URL of a server fit to print.
func withoutPassword(text string) string {
	u, err := parseURL(text, slices.Concat(postgresServer.schemes, redisServer.schemes))
	if err != nil {
		return Secret(text).String()
	}
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), hidden)
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "pass") {
			query.Set(name, hidden)
		}
	}
	u.RawQuery = query.Encode()
	return strings.ReplaceAll(u.String(), url.QueryEscape(hidden), hidden)
}

// hostsOf is what a URL, however odd, says of its servers: hosts and ports, or
// the directory of a socket. It holds no user and no password.
func hostsOf(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	path := strings.IndexAny(rest, "/?#")
	authority, tail := rest, ""
	if path >= 0 {
		authority, tail = rest[:path], rest[path:]
	}
	if hosts := authority[strings.LastIndex(authority, "@")+1:]; hosts != "" {
		return hosts
	}
	_, query, _ := strings.Cut(tail, "?")
	values, err := url.ParseQuery(query)
	if err != nil || !values.Has("host") {
		return "default"
	}
	return strings.Join(values["host"], ",")
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
	if strings.HasPrefix(c.DBHost, "/") { // the directory of a Unix socket
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
