package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// applicationPrefix begins the application_name of our connections, unless the
// URL gives another.
const applicationPrefix = "analytics"

// Servers lists the other programs of ours that are connected to the database,
// such as "analytics worker", each with its number of connections. A program
// whose application_name comes from its URL is not recognized, and behind a
// pooler a connection bears the name of whoever used it last. A program that has
// just ended is given a second, in which PostgreSQL notices that.
func Servers(ctx context.Context, db *sql.DB) ([]string, error) {
	for deadline := time.Now().Add(time.Second); ; {
		servers, err := connectedServers(ctx, db)
		if err != nil || len(servers) == 0 || time.Now().After(deadline) {
			return servers, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func connectedServers(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT application_name, count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()
			AND application_name IN ('analytics serve', 'analytics api', 'analytics worker')
		GROUP BY application_name ORDER BY application_name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var servers []string
	for rows.Next() {
		var name string
		var connections int
		if err := rows.Scan(&name, &connections); err != nil {
			return nil, err
		}
		servers = append(servers, fmt.Sprintf("%s (connections: %d)", name, connections))
	}
	return servers, rows.Err()
}
