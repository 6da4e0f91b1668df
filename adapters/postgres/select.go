package postgres

import (
	"context"
	"iter"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Select reads aggregates, as ports.StatisticsReader promises.
func (s *Store) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	var selected domain.Selected
	err := s.db.read(ctx, "store.select", func(tx *transaction) error {
		collector := domain.NewCollector(selection)
		err := eachInJournal(ctx, tx, selection.Window, func(row journalRow) error {
			if err := collector.AddJournal(row.day, row.payload); err != nil {
				return damagedJournal(row.day, row.id, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.collectPacked(ctx, tx, selection, collector); err != nil {
			return err
		}
		selected = collector.Selected()
		return nil
	})
	if err != nil {
		return domain.Selected{}, err
	}
	return selected, nil
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
func (s *Store) collectPacked(ctx context.Context, tx *transaction, selection domain.Selection, collector *domain.Collector) error {
	w := selection.Window
	var buckets []packedBucket
	err := tx.SelectContext(ctx, &buckets, `
		SELECT bucket, generation FROM aggregate_buckets WHERE resolution = $1 AND bucket >= $2 AND bucket < $3`,
		string(w.Resolution), w.Start, w.End)
	if err != nil {
		return err
	}
	reads, cache := selection.Reads(), s.db.config.Buckets
	var wants []packedWant
	var absent []missing
	for i, read := range reads {
		for key, generation := range keysOf(w.Resolution, buckets, read) {
			p, ok := cache.Get(key, generation, read)
			if !ok {
				wants = append(wants, packedWant{key, read.Latency, read.Sessions})
				absent = append(absent, missing{read: i, generation: generation})
				continue
			}
			if err := addPacked(collector, i, p); err != nil {
				return err
			}
		}
	}
	err = readPacked(ctx, tx, w.Resolution, wants, func(i int, p domain.Packed) error {
		m := &absent[i]
		m.found = true
		if err := addPacked(collector, m.read, p); err != nil {
			return err
		}
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

func addPacked(collector *domain.Collector, read int, p domain.Packed) error {
	if err := collector.Add(read, p); err != nil {
		return damaged(placeOf(p.PackedBucket), err)
	}
	return nil
}

// keysOf yields the keys that a read wants, with the generations of their buckets.
func keysOf(r domain.Resolution, buckets []packedBucket, read domain.PackedRead) iter.Seq2[domain.PackedKey, int64] {
	first, end := read.Part, read.Part+1
	if read.Part == domain.AllParts {
		first, end = 0, r.Parts(read.Grain)
	}
	return func(yield func(domain.PackedKey, int64) bool) {
		for _, b := range buckets {
			for part := first; part < end; part++ {
				bucket := domain.PackedBucket{Resolution: r, Start: b.Bucket.UTC()}
				if !yield(domain.PackedKey{PackedBucket: bucket, Grain: read.Grain, Part: part}, b.Generation) {
					return
				}
			}
		}
	}
}
