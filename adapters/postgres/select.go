package postgres

import (
	"cmp"
	"context"
	"iter"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Select reads aggregates, as ports.StatisticsReader promises.
func (s *Store) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	var selected domain.Selected
	err := s.db.read(ctx, "store.select", func(tx *transaction) error {
		c := collecting{Collector: domain.NewCollector(selection), Parallel: app.NewParallel()}
		reading := s.collect(ctx, tx, selection, c)
		if err := cmp.Or(c.Wait(), reading); err != nil {
			return err
		}
		selected = c.Selected()
		return nil
	})
	if err != nil {
		return domain.Selected{}, err
	}
	return selected, nil
}

// collecting decodes values while others are read.
type collecting struct {
	*domain.Collector
	*app.Parallel
}

func (c collecting) addPacked(read int, p domain.Packed) {
	c.Go(func() error {
		if err := c.Add(read, p); err != nil {
			return damaged(placeOf(p.PackedBucket), err)
		}
		return nil
	})
}

func (c collecting) addJournal(row journalRow) {
	c.Go(func() error {
		if err := c.AddJournal(row.day, row.payload, row.steps); err != nil {
			return damagedJournal(row.day, row.id, err)
		}
		return nil
	})
}

// collect gives the collector the journal and the packed values that answer the
// selection.
func (s *Store) collect(ctx context.Context, tx *transaction, selection domain.Selection, c collecting) error {
	err := eachInJournal(ctx, tx, selection.Window, func(row journalRow) error {
		c.addJournal(row)
		return nil
	})
	if err != nil {
		return err
	}
	return s.collectPacked(ctx, tx, selection, c)
}

// packedBucket is a bucket that has packed aggregates.
type packedBucket struct {
	Bucket     time.Time `db:"bucket"`
	Generation int64     `db:"generation"`
}

// missing is a packed value that was not in memory.
type missing struct {
	read       int
	generation int64
	found      bool
}

// collectPacked gives the collector the packed values that answer the selection:
// those in memory that are as the database has them, and the others from there.
func (s *Store) collectPacked(ctx context.Context, tx *transaction, selection domain.Selection, c collecting) error {
	reads, cache := selection.Reads(), s.db.config.Buckets
	buckets := make(map[domain.Resolution][]packedBucket)
	for _, r := range domain.ResolutionsOf(reads) {
		var found []packedBucket
		err := tx.SelectContext(ctx, &found, `
			SELECT bucket, generation FROM aggregate_buckets WHERE resolution = $1 AND bucket >= $2 AND bucket < $3`,
			string(r), selection.Window.Start, selection.Window.End)
		if err != nil {
			return err
		}
		buckets[r] = found
	}
	var wants []packedWant
	var absent []missing
	for i, read := range reads {
		for key, generation := range keysOf(buckets[read.Window.Resolution], read) {
			p, ok := cache.Get(key, generation, read)
			if !ok {
				wants = append(wants, packedWant{key, read.Latency, read.Sessions})
				absent = append(absent, missing{read: i, generation: generation})
				continue
			}
			c.addPacked(i, p)
		}
	}
	err := readPacked(ctx, tx, wants, func(i int, p domain.Packed) error {
		m := &absent[i]
		m.found = true
		c.addPacked(m.read, p)
		cache.Put(p, m.generation, reads[m.read])
		return nil
	})
	if err != nil {
		return err
	}
	for i, m := range absent {
		if !m.found {
			cache.Put(domain.Packed{PackedKey: wants[i].PackedKey}, m.generation, reads[m.read])
		}
	}
	return nil
}

// keysOf yields the keys that a read wants, with the generations of their buckets:
// those of one part after the other, as they are stored.
func keysOf(buckets []packedBucket, read domain.PackedRead) iter.Seq2[domain.PackedKey, int64] {
	r := read.Window.Resolution
	first, end := read.Parts()
	return func(yield func(domain.PackedKey, int64) bool) {
		for part := first; part < end; part++ {
			for _, b := range buckets {
				bucket := domain.PackedBucket{Resolution: r, Start: b.Bucket.UTC()}
				if read.Window.Contains(bucket.Start) && !yield(domain.PackedKey{PackedBucket: bucket, Grain: read.Grain, Part: part}, b.Generation) {
					return
				}
			}
		}
	}
}
