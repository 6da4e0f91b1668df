package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// Loss is what taking the last step back deletes.
type Loss struct {
	// Step is the name of the step's file.
	Step   string
	Tables []TableLoss
}

// TableLoss is a table that goes, or columns of it.
type TableLoss struct {
	Name string
	// Columns are those that go from a table that stays; none when all of it
	// goes.
	Columns []string
	// Rows counts the table's rows, up to one more than CountedRows.
	Rows int64
}

// CountedRows is how many rows of a table are counted, so that counting takes
// no longer than it is worth.
const CountedRows = 100_000

// SQLiteLoss looks at the last step that the embedded database has taken.
func SQLiteLoss(ctx context.Context, db *sql.DB) (Loss, error) {
	return lossOf(ctx, db, SQLite, "sqlite")
}

// PostgreSQLLoss looks at the last step that a PostgreSQL database has taken.
func PostgreSQLLoss(ctx context.Context, db *sql.DB) (Loss, error) {
	return lossOf(ctx, db, PostgreSQL, "postgres")
}

func lossOf(ctx context.Context, db *sql.DB, steps func(*sql.DB) (*goose.Provider, error), dir string) (Loss, error) {
	p, err := steps(db)
	if err != nil {
		return Loss{}, err
	}
	if err := RefuseNewer(ctx, p); err != nil {
		return Loss{}, err
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return Loss{}, fmt.Errorf("migrations: %w", err)
	}
	for _, s := range p.ListSources() {
		if s.Version == version {
			return lossOfStep(ctx, db, path.Join(dir, path.Base(s.Path)))
		}
	}
	return Loss{}, errNoStep
}

var errNoStep = errors.New("there is no step to take back: the database has no schema")

// The statements of a step that delete data.
var (
	downPart     = regexp.MustCompile(`(?s)\n-- \+goose Down\n.*`)
	droppedTable = regexp.MustCompile(`(?im)^DROP TABLE (?:IF EXISTS )?(\w+)|^ALTER TABLE (\w+)([^;]*);`)
	droppedField = regexp.MustCompile(`(?i)DROP COLUMN (?:IF EXISTS )?(\w+)`)
)

func lossOfStep(ctx context.Context, db *sql.DB, file string) (Loss, error) {
	text, err := fs.ReadFile(files, file)
	if err != nil {
		return Loss{}, fmt.Errorf("migrations: %w", err)
	}
	loss := Loss{Step: path.Base(file)}
	for _, match := range droppedTable.FindAllStringSubmatch(downPart.FindString(string(text)), -1) {
		t := TableLoss{Name: match[1] + match[2]}
		for _, field := range droppedField.FindAllStringSubmatch(match[3], -1) {
			t.Columns = append(t.Columns, field[1])
		}
		if match[2] != "" && len(t.Columns) == 0 {
			continue // changed in another way
		}
		// The name comes from the step, not from anybody's input.
		count := fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d) AS counted`, t.Name, CountedRows+1) //nolint:gosec // see above
		if err := db.QueryRowContext(ctx, count).Scan(&t.Rows); err != nil {
			return Loss{}, fmt.Errorf("migrations: count %s: %w", t.Name, err)
		}
		loss.Tables = append(loss.Tables, t)
	}
	return loss, nil
}

// String is how many rows there are, such as "12" or "more than 100000".
func (t TableLoss) String() string {
	rows := strconv.FormatInt(t.Rows, 10)
	if t.Rows > CountedRows {
		rows = fmt.Sprintf("more than %d", CountedRows)
	}
	if len(t.Columns) > 0 {
		return rows + ", of which the columns " + strings.Join(t.Columns, ", ")
	}
	return rows
}
