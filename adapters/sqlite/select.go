package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Select reads aggregates, as ports.StatisticsReader promises.
func (s *Store) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	r := selectionReader{store: s, collector: domain.NewCollector(selection), decoding: app.NewParallel(), window: selection.Window}
	reads := selection.Reads()
	if err := r.prepare(ctx, reads); err != nil {
		return domain.Selected{}, s.db.store.translate(ctx, "store.select", err)
	}
	err := s.db.store.read(ctx, "store.select", func(tx *sqlx.Tx) error {
		r.tx = tx
		reading := r.collect(ctx, reads)
		return cmp.Or(r.decoding.Wait(), reading)
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
	// decoding is of values that have been read, while others are.
	decoding *app.Parallel
	window   domain.Window
	// statements has one for each set of columns that is wanted.
	statements map[columns]*sqlx.Stmt
	tx         *sqlx.Tx
	// buckets has the buckets of the window of each resolution that is wanted.
	buckets map[domain.Resolution][]generation
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
		if r.statements[c], err = r.store.db.store.reading.get(ctx, c.query()); err != nil { //nolint:sqlclosecheck // the pool closes it
			return err
		}
	}
	return nil
}

// collect gives the collector the journal and the packed values that answer the
// selection.
func (r *selectionReader) collect(ctx context.Context, reads []domain.PackedRead) error {
	if err := r.addJournal(ctx); err != nil {
		return err
	}
	if err := r.readGenerations(ctx, reads); err != nil {
		return err
	}
	for i := range reads {
		if err := r.read(ctx, i, reads[i]); err != nil {
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
		r.decoding.Go(func() error {
			if err := r.collector.AddJournal(rows[i].day(), rows[i].Payload, rows[i].Steps); err != nil {
				return damagedJournal(rows[i].day(), rows[i].ID, err)
			}
			return nil
		})
	}
	return nil
}

func (r *selectionReader) readGenerations(ctx context.Context, reads []domain.PackedRead) error {
	r.buckets = make(map[domain.Resolution][]generation)
	for _, resolution := range domain.ResolutionsOf(reads) {
		var found []generation
		err := r.tx.SelectContext(ctx, &found, `
			SELECT bucket, generation FROM aggregate_buckets WHERE resolution = ? AND bucket >= ? AND bucket < ?
			ORDER BY bucket`, string(resolution), r.window.Start.Unix(), r.window.End.Unix())
		if err != nil {
			return err
		}
		r.buckets[resolution] = found
	}
	return nil
}

// read collects the values of one read, an index in the selection's.
func (r *selectionReader) read(ctx context.Context, index int, read domain.PackedRead) error {
	first, end := read.Parts()
	buckets := slices.DeleteFunc(slices.Clone(r.buckets[read.Window.Resolution]), func(b generation) bool {
		return !read.Window.Contains(time.Unix(b.Bucket, 0))
	})
	for part := first; part < end; part++ {
		p := partReader{selectionReader: r, index: index, read: read, part: part, wanted: buckets}
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
	// wanted are the buckets of the read, ascending.
	wanted []generation
}

func (r *partReader) key(bucket int64) domain.PackedKey {
	return domain.PackedKey{PackedBucket: bucketAt(r.read.Window.Resolution, bucket), Grain: r.read.Grain, Part: r.part}
}

// collect takes what is in memory, and reads the others, each run of neighbours
// at once.
func (r *partReader) collect(ctx context.Context) error {
	begin := 0 // of the run of buckets that are not in memory
	for i, b := range r.wanted {
		p, ok := r.store.db.config.Buckets.Get(r.key(b.Bucket), b.Generation, r.read)
		if !ok {
			continue
		}
		if err := r.fetch(ctx, r.wanted[begin:i]); err != nil {
			return err
		}
		begin = i + 1
		r.add(p)
	}
	return r.fetch(ctx, r.wanted[begin:])
}

// add gives a value to the collector. One without counts stands for none.
func (r *partReader) add(p domain.Packed) {
	r.decoding.Go(func() error {
		if err := r.collector.Add(r.index, p); err != nil {
			return damagedValue(p.PackedKey, err)
		}
		return nil
	})
}

// fetch reads the values of neighbouring buckets, and notes them and those that
// there are not.
func (r *partReader) fetch(ctx context.Context, run []generation) error {
	if len(run) == 0 {
		return nil
	}
	rows, err := r.tx.StmtxContext(ctx, r.statements[columnsOf(r.read)]).QueryContext(ctx,
		string(r.read.Window.Resolution), int64(r.read.Grain), r.part, run[0].Bucket, run[len(run)-1].Bucket)
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
		r.add(p)
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
