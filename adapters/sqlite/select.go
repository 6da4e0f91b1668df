package sqlite

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Select reads aggregates, as ports.StatisticsReader promises.
func (s *Store) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	r := selectionReader{store: s, collector: domain.NewCollector(selection), window: selection.Window}
	reads := selection.Reads()
	if err := r.prepare(ctx, reads); err != nil {
		return domain.Selected{}, s.db.translate(ctx, "store.select", err)
	}
	err := s.db.read(ctx, "store.select", func(tx *sqlx.Tx) error {
		r.tx = tx
		if err := r.addJournal(ctx); err != nil {
			return err
		}
		if err := r.readGenerations(ctx); err != nil {
			return err
		}
		for i := range reads {
			if err := r.read(ctx, i, reads[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return domain.Selected{}, err
	}
	return r.collector.Selected(), nil
}

// selectionReader reads what a selection needs, in one transaction. Values that
// have not changed since they were read last come from memory.
type selectionReader struct {
	store     *Store
	collector *domain.Collector
	window    domain.Window
	// statements has one for each set of columns that is wanted.
	statements map[columns]*sqlx.Stmt
	tx         *sqlx.Tx
	buckets    []generation
}

// columns says which columns are wanted beside the counts.
type columns struct{ latency, sessions bool }

func columnsOf(r domain.PackedRead) columns { return columns{r.Latency, r.Sessions} }

// query reads one part in a range of buckets.
func (c columns) query() string {
	wanted := `bucket, counts`
	if c.latency {
		wanted += `, latency`
	}
	if c.sessions {
		wanted += `, sessions`
	}
	return `SELECT ` + wanted + ` FROM packed_aggregates
		WHERE resolution = ? AND grain = ? AND part = ? AND bucket >= ? AND bucket <= ? ORDER BY bucket`
}

// generation is what the values of a bucket are known by.
type generation struct {
	Bucket     int64 `db:"bucket"`
	Generation int64 `db:"generation"`
}

func (r *selectionReader) prepare(ctx context.Context, reads []domain.PackedRead) error {
	r.statements = make(map[columns]*sqlx.Stmt)
	for _, read := range reads {
		c := columnsOf(read)
		var err error
		if r.statements[c], err = r.store.db.reading.get(ctx, c.query()); err != nil { //nolint:sqlclosecheck // the pool closes it
			return err
		}
	}
	return nil
}

func (r *selectionReader) addJournal(ctx context.Context) error {
	rows, err := journalBetween(ctx, r.tx, domain.Daily.Floor(r.window.Start), r.window.End)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := r.collector.AddJournal(rows[i].day(), rows[i].Payload); err != nil {
			return damagedJournal(rows[i].day(), rows[i].ID, err)
		}
	}
	return nil
}

func (r *selectionReader) readGenerations(ctx context.Context) error {
	return r.tx.SelectContext(ctx, &r.buckets, `
		SELECT bucket, generation FROM aggregate_buckets WHERE resolution = ? AND bucket >= ? AND bucket < ?
		ORDER BY bucket`, string(r.window.Resolution), r.window.Start.Unix(), r.window.End.Unix())
}

// read collects the values of one read, an index in the selection's.
func (r *selectionReader) read(ctx context.Context, index int, read domain.PackedRead) error {
	first, end := read.Part, read.Part+1
	if read.Part == domain.AllParts {
		first, end = 0, r.window.Resolution.Parts(read.Grain)
	}
	for part := first; part < end; part++ {
		p := partReader{selectionReader: r, index: index, read: read, part: part}
		if err := p.collect(ctx); err != nil {
			return err
		}
	}
	return nil
}

// partReader collects the values of one part.
type partReader struct {
	*selectionReader

	index int
	read  domain.PackedRead
	part  int
}

func (r *partReader) key(bucket int64) domain.PackedKey {
	return domain.PackedKey{PackedBucket: bucketAt(r.window.Resolution, bucket), Grain: r.read.Grain, Part: r.part}
}

// collect takes what is in memory, and reads the others, each run of neighbours
// at once.
func (r *partReader) collect(ctx context.Context) error {
	begin := 0 // of the run of buckets that are not in memory
	for i, b := range r.buckets {
		p, ok := r.store.db.config.Buckets.Get(r.key(b.Bucket), b.Generation, r.read)
		if !ok {
			continue
		}
		if err := r.fetch(ctx, r.buckets[begin:i]); err != nil {
			return err
		}
		begin = i + 1
		if err := r.add(p); err != nil {
			return err
		}
	}
	return r.fetch(ctx, r.buckets[begin:])
}

// add gives a value to the collector. One without counts stands for none.
func (r *partReader) add(p domain.Packed) error {
	if err := r.collector.Add(r.index, p); err != nil {
		return damagedValue(p.PackedKey, err)
	}
	return nil
}

// fetch reads the values of neighbouring buckets, and notes them and those that
// there are not.
func (r *partReader) fetch(ctx context.Context, run []generation) error {
	if len(run) == 0 {
		return nil
	}
	rows, err := r.tx.StmtxContext(ctx, r.statements[columnsOf(r.read)]).QueryContext(ctx,
		string(r.window.Resolution), int64(r.read.Grain), r.part, run[0].Bucket, run[len(run)-1].Bucket)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var bucket int64
		var p domain.Packed
		fields := []any{&bucket, &p.Counts}
		if r.read.Latency {
			fields = append(fields, &p.Latency)
		}
		if r.read.Sessions {
			fields = append(fields, &p.Sessions)
		}
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		for len(run) > 0 && run[0].Bucket < bucket {
			r.note(run[0], domain.Packed{})
			run = run[1:]
		}
		if len(run) == 0 || run[0].Bucket != bucket {
			continue // every value has a bucket; this one was made by hand
		}
		p.PackedKey = r.key(bucket)
		if err := r.add(p); err != nil {
			return err
		}
		r.note(run[0], p)
		run = run[1:]
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, b := range run {
		r.note(b, domain.Packed{})
	}
	return nil
}

func (r *partReader) note(b generation, p domain.Packed) {
	p.PackedKey = r.key(b.Bucket)
	r.store.db.config.Buckets.Put(p, b.Generation, r.read)
}
