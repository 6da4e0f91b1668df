package bootstrap

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
)

// WriteBackup copies the embedded database, whether or not a server is running
// on it, into a new file and one beside it; see [sqlite.WriteBackup]. Where the store
// is PostgreSQL, the error says how to back that up.
func WriteBackup(ctx context.Context, config Config, file string) (sqlite.Backup, error) {
	if config.usesServers() {
		return sqlite.Backup{}, fmt.Errorf("the data is in PostgreSQL, which is backed up by its own program: "+
			"pg_dump --format=custom --file=%s %s", shellQuoted(file), shellQuoted(withoutSecrets(config.databaseURL())))
	}
	return sqlite.WriteBackup(ctx, config.DataDir, file)
}

// withoutSecrets leaves out of a URL what pg_dump asks for or finds in
// PGPASSWORD or ~/.pgpass.
func withoutSecrets(text string) string {
	u, err := url.Parse(text)
	if err != nil { // one that names several servers
		scheme, rest, _ := strings.Cut(text, "://")
		return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "pass") {
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// shellQuoted is one word for a shell.
func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
