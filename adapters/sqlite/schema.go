package sqlite

import (
	"context"

	"github.com/pressly/goose/v3"

	"github.com/weather-mcp/weather-mcp-analytics/migrations"
)

// Schema returns the steps of the schema of the store, all of which [Open] has taken. After
// a step is taken back nothing but Close works.
func (db *DB) Schema() (*goose.Provider, error) { return migrations.SQLite(db.store.writer.DB) }

// SchemaLoss says what taking the last step back would delete.
func (db *DB) SchemaLoss(ctx context.Context) (migrations.Loss, error) {
	return migrations.SQLiteLoss(ctx, db.store.writer.DB)
}
