package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const addressForm = "redis://user:password@host:port/database, rediss:// for TLS, or unix://user:password@/path?db=database"

var (
	errForm = errors.New("must have the form " + addressForm + ", with special characters of user and password as %XX, such as %40 for @")
	// errNotSingle is for whoever names more than one server.
	errNotSingle = errors.New("names what this program cannot use: one server is supported, without Sentinel and Cluster; " +
		"name the primary, by a host name or proxy that follows it when it changes")
)

const defaultPort = "6379"

// address is what a URL says.
type address struct {
	network, at, user, password string
	database                    int
	tls                         bool
}

// CheckURL returns what is wrong with the URL of a Redis server, as the end of a
// sentence that begins with the variable's name. It repeats no value, since any
// may hold a password.
func CheckURL(text string) error {
	_, err := parseAddress(text)
	return err
}

// HidePassword returns the URL of a server with *** in place of the password, or
// of all of it when it cannot be read.
func HidePassword(text string) string {
	if CheckURL(text) != nil {
		return "***"
	}
	scheme, rest, _ := strings.Cut(text, "://")
	login, host, found := strings.Cut(rest, "@")
	if !found || login == "" {
		return text
	}
	user, _, has := strings.Cut(login, ":")
	if !has {
		return scheme + "://***@" + host // a password alone
	}
	return scheme + "://" + user + ":***@" + host
}

// HostOf returns the host and port that a URL names, or the path of a socket. It
// holds no user and no password.
func HostOf(text string) string {
	a, err := parseAddress(text)
	if err != nil {
		return "unknown"
	}
	return a.at
}

func parseAddress(text string) (address, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	if strings.Contains(scheme, "sentinel") || strings.Contains(scheme, "cluster") {
		return address{}, errNotSingle
	}
	hosts, _, _ := strings.Cut(rest[strings.LastIndex(rest, "@")+1:], "/")
	if strings.Contains(hosts, ",") && !strings.Contains(hosts, "?") {
		return address{}, errNotSingle
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Fragment != "" || strings.Count(text, "@") > 1 || u.User == nil && strings.Contains(text, "@") {
		return address{}, errForm
	}
	var a address
	switch scheme {
	case "redis", "rediss":
		err = a.readHost(u)
		a.tls = scheme == "rediss"
	case "unix", "redis+socket":
		a.network, a.at = "unix", u.Path
		if u.Host != "" || u.Path == "" || u.Path == "/" {
			err = errForm
		}
	default:
		err = errForm
	}
	if err != nil {
		return address{}, err
	}
	if password, given := u.User.Password(); given {
		a.user, a.password = u.User.Username(), password
	} else {
		a.password = u.User.Username() // as redis-cli reads it
	}
	return a, a.readQuery(u)
}

// readHost reads host, port and the database in the path.
func (a *address) readHost(u *url.URL) error {
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || u.Hostname() == "" {
		return errForm
	}
	a.network, a.at = "tcp", net.JoinHostPort(u.Hostname(), port)
	if path := strings.TrimPrefix(u.Path, "/"); path != "" {
		return a.setDatabase(path)
	}
	return nil
}

func (a *address) setDatabase(text string) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return errors.New("names a database that is no number: " + errForm.Error())
	}
	a.database = int(n)
	return nil
}

func (a *address) readQuery(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errForm
	}
	for name, values := range query {
		if name != "db" {
			return fmt.Errorf("has the parameter %s, which is not known: remove it; db is the only one that is", name)
		}
		before, inPath := a.database, a.network == "tcp" && strings.Trim(u.Path, "/") != ""
		if err := a.setDatabase(values[0]); err != nil {
			return err
		}
		if len(slices.Compact(slices.Sorted(slices.Values(values)))) > 1 || inPath && before != a.database {
			return errors.New("names two databases: keep one, in the path or as db")
		}
	}
	return nil
}
