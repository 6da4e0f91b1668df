package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The forms of an address, for sentences.
const (
	addressForm = "postgres://user:password@host:port/database, with several hosts as host1:port1,host2:port2, " +
		"or host=… port=… dbname=… user=… password=…"
	defaultPort = "5432"
)

// parameters are what an address may set: PostgreSQL's own names, as far as the
// driver has them, and search_path.
var parameters = []string{
	"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "connect_timeout",
	"application_name", "fallback_application_name", "client_encoding", "options", "search_path",
	"sslmode", "sslnegotiation", "sslcert", "sslkey", "sslrootcert", "sslsni",
	"ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "load_balance_hosts",
}

var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// address is what a connection string says, in its order.
type address struct{ names, values []string }

// CheckURL returns what is wrong with the URL of a database, in any form of
// PostgreSQL's manual, as the end of a sentence that begins with the variable's
// name. It repeats no value, since any may hold a password.
func CheckURL(text string) error {
	_, err := parseAddress(text)
	return err
}

// HidePassword returns the URL of a database with *** in place of passwords, or of
// all of it when it cannot be read.
func HidePassword(text string) string {
	a, err := parseAddress(text)
	if err != nil {
		return "***"
	}
	if !isURI(text) {
		for i, name := range a.names {
			if isSecret(name) {
				a.values[i] = "***"
			}
		}
		return a.String()
	}
	// All that is no password stays as it was written.
	head, query, asks := strings.Cut(text, "?")
	scheme, rest, _ := strings.Cut(head, "://")
	if login, hosts, found := strings.Cut(rest, "@"); found {
		if user, _, has := strings.Cut(login, ":"); has {
			rest = user + ":***@" + hosts
		}
	}
	if !asks {
		return scheme + "://" + rest
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, _ := strings.Cut(pair, "="); isSecret(name) {
			pairs[i] = name + "=***"
		}
	}
	return scheme + "://" + rest + "?" + strings.Join(pairs, "&")
}

// HostsOf returns the hosts and ports that a URL names, or the directory of a
// socket. It holds no user and no password.
func HostsOf(text string) string {
	a, err := parseAddress(text)
	if err != nil {
		return "unknown"
	}
	list := cmp.Or(a.value("hostaddr"), a.value("host"), "localhost")
	ports := strings.Split(cmp.Or(a.value("port"), defaultPort), ",")
	hosts := strings.Split(list, ",")
	for i, host := range hosts {
		if !strings.HasPrefix(host, "/") {
			hosts[i] = net.JoinHostPort(host, ports[min(i, len(ports)-1)])
		}
	}
	return strings.Join(hosts, ",")
}

func isSecret(name string) bool {
	name, _ = url.PathUnescape(name)
	return name == "password"
}

func isURI(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

var (
	errForm = errors.New("cannot be read: give " + addressForm)
	errSafe = errors.New("cannot be read: write special characters of user and password as %XX, such as %40 for @")
)

func parseAddress(text string) (address, error) {
	var a address
	var err error
	switch {
	case isURI(text):
		_, rest, _ := strings.Cut(text, "://")
		err = a.readURI(rest)
	case strings.Contains(text, "://") || !strings.Contains(text, "="):
		err = errors.New("is not such an address: give " + addressForm)
	default:
		err = a.readPairs(text)
	}
	if err == nil {
		err = a.check()
	}
	return a, err
}

// readURI reads what follows the scheme: user, hosts with ports, database and
// parameters, each of which may be missing.
func (a *address) readURI(text string) error {
	head, query, _ := strings.Cut(text, "?")
	login, hosts, hasLogin := strings.Cut(head, "@")
	if !hasLogin {
		login, hosts = "", head
	}
	if strings.Contains(hosts, "@") || strings.ContainsAny(login, "/#") || strings.Contains(query, "@") && !hasLogin {
		return errSafe // a password with a / or @ in it moves its rest elsewhere
	}
	user, password, hasPassword := strings.Cut(login, ":")
	hosts, database, _ := strings.Cut(hosts, "/")
	host, port, err := cutHosts(hosts)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name, value string
		given       bool
	}{
		{"user", user, user != ""},
		{"password", password, hasPassword},
		{"host", host, host != ""},
		{"port", port, port != ""},
		{"dbname", database, database != ""},
	} {
		if part.given {
			if err := a.addEncoded(part.name, part.value); err != nil {
				return err
			}
		}
	}
	if query == "" {
		return nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			return errForm
		}
		if err := a.addEncoded(name, value); err != nil {
			return err
		}
	}
	return nil
}

// cutHosts separates hosts and ports, which may be missing: a,b:1 is the hosts a,b
// and the ports 5432,1.
func cutHosts(text string) (hosts, ports string, err error) {
	if text == "" {
		return "", "", nil
	}
	var hostList, portList []string
	hasPort := false
	for item := range strings.SplitSeq(text, ",") {
		var host, port string
		var found bool
		if rest, bracketed := strings.CutPrefix(item, "["); bracketed {
			var after string
			if host, after, found = strings.Cut(rest, "]"); !found {
				return "", "", errForm
			}
			if port, found = strings.CutPrefix(after, ":"); !found && after != "" {
				return "", "", errForm
			}
		} else if host, port, found = strings.Cut(item, ":"); strings.Contains(port, ":") {
			return "", "", errors.New("cannot be read: write an IPv6 address in brackets, such as [::1]:5432")
		}
		hasPort = hasPort || found && port != ""
		if port == "" {
			port = defaultPort
		}
		hostList, portList = append(hostList, host), append(portList, port)
	}
	if hosts = strings.Join(hostList, ","); strings.Trim(hosts, ",") == "" {
		hosts = ""
	}
	if hasPort {
		ports = strings.Join(portList, ",")
	}
	return hosts, ports, nil
}

func (a *address) addEncoded(name, value string) error {
	decodedName, err := url.PathUnescape(name)
	if err != nil {
		return errSafe
	}
	decoded, err := url.PathUnescape(value)
	if err != nil || strings.Contains(decoded, "\x00") {
		return errSafe
	}
	switch {
	case decodedName == "ssl" && decoded == "true": // as JDBC has it
		decodedName, decoded = "sslmode", "require"
	case decodedName == "database":
		decodedName = "dbname"
	}
	return a.add(decodedName, decoded)
}

func (a *address) add(name, value string) error {
	if !slices.Contains(parameters, name) {
		return fmt.Errorf("has %s: correct or remove it, or set a parameter of the server in options, such as "+
			"options=-c%%20work_mem%%3D8MB; known are %s", a.describe(name), strings.Join(parameters, ", "))
	}
	if slices.Contains(a.names, name) {
		return fmt.Errorf("says the %s twice: keep one of them", name)
	}
	a.names, a.values = append(a.names, name), append(a.values, value)
	return nil
}

// describe names an unknown parameter, unless it may be the rest of a password.
func (a *address) describe(name string) string {
	odd := func(r rune) bool { return !unicode.IsLower(r) && !unicode.IsDigit(r) && r != '_' }
	if last := len(a.names) - 1; strings.ContainsFunc(name, odd) || last >= 0 && a.names[last] == "password" {
		return "a parameter that is not known"
	}
	return "the parameter " + name + ", which is not known"
}

// readPairs reads name=value pairs. A value with spaces is quoted, and a backslash
// hides the meaning of what follows it.
func (a *address) readPairs(text string) error {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		name, rest, found := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		if !found || name == "" || strings.ContainsFunc(name, unicode.IsSpace) {
			return errForm
		}
		value, after, err := cutValue(strings.TrimLeftFunc(rest, unicode.IsSpace))
		if err != nil {
			return err
		}
		if err := a.add(name, value); err != nil {
			return err
		}
		text = after
	}
	return nil
}

func cutValue(text string) (value, rest string, err error) {
	var b strings.Builder
	runes := []rune(text)
	quoted := len(runes) > 0 && runes[0] == '\''
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quoted && i == 0:
		case r == '\\':
			if i++; i == len(runes) {
				return "", "", errForm
			}
			b.WriteRune(runes[i])
		case quoted && r == '\'', !quoted && unicode.IsSpace(r):
			return b.String(), string(runes[i+1:]), nil
		default:
			b.WriteRune(r)
		}
	}
	if quoted {
		return "", "", errors.New("cannot be read: a quoted value does not end")
	}
	return b.String(), "", nil
}

func (a *address) value(name string) string {
	if i := slices.Index(a.names, name); i >= 0 {
		return a.values[i]
	}
	return ""
}

// check finds what contradicts itself or has a value that cannot be.
func (a *address) check() error {
	if mode := a.value("sslmode"); slices.Contains(a.names, "sslmode") && !slices.Contains(sslModes, mode) {
		return fmt.Errorf("has an unknown sslmode: give %s", strings.Join(sslModes, ", "))
	}
	hosts := max(itemsOf(a.value("host")), itemsOf(a.value("hostaddr")))
	ports := itemsOf(a.value("port"))
	if ports > 1 && ports != hosts {
		return fmt.Errorf("has %d hosts and %d ports: give one port, or one for each host", hosts, ports)
	}
	if a.value("host") != "" && a.value("hostaddr") != "" && itemsOf(a.value("host")) != itemsOf(a.value("hostaddr")) {
		return errors.New("has not as many of host as of hostaddr: give one address for each host")
	}
	if i := slices.Index(a.names, "port"); i >= 0 {
		list := strings.Split(a.values[i], ",")
		for j, port := range list {
			if port == "" {
				list[j] = defaultPort
			} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				return errors.New("has a port that is none: give numbers from 1 to 65535")
			}
		}
		a.values[i] = strings.Join(list, ",")
	}
	if timeout := a.value("connect_timeout"); timeout != "" {
		if _, err := strconv.Atoi(timeout); err != nil {
			return errors.New("has a connect_timeout that is none: give seconds, as a whole number")
		}
	}
	return nil
}

func itemsOf(list string) int {
	if list == "" {
		return 0
	}
	return strings.Count(list, ",") + 1
}

// String gives name=value pairs, which the driver reads in all their forms.
func (a *address) String() string {
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	pairs := make([]string, len(a.names))
	for i, name := range a.names {
		value := a.values[i]
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == '\'' || r == '\\' }) {
			value = "'" + escape.Replace(value) + "'"
		}
		pairs[i] = name + "=" + value
	}
	return strings.Join(pairs, " ")
}
