package benchmark_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/traffic"
)

// dataset is what a store holds when it is measured.
type dataset struct {
	shape        traffic.Shape
	events, days int
	// raw says that raw events are loaded, beside what they add up to.
	raw bool
	// repeated is after how many days the same packed values come again, for datasets
	// that would take long to make; 0 for never.
	repeated int
}

func (d dataset) String() string {
	return fmt.Sprintf("%s events in %d days, %s shape", count(d.events), d.days, d.shape.Name)
}

func count(n int) string {
	if n >= 1_000_000 && n%100_000 == 0 {
		return fmt.Sprintf("%.4g M", float64(n)/1_000_000)
	}
	return fmt.Sprintf("%d k", n/1000)
}

// loadedDay is a UTC day of a dataset.
type loadedDay struct {
	start  time.Time
	values []domain.Packed
	events []domain.Event
}

// days makes the days one by one. The last is that of contract.Now, until its hour.
// Every value is made as a store makes it when it merges all of a day at once, for
// what is within its retention.
type days struct {
	dataset

	mu   sync.Mutex
	made map[int]loadedDay
}

func (d *days) day(number int) (loadedDay, error) {
	start := domain.Daily.Floor(contract.Now).AddDate(0, 0, number+1-d.days)
	if d.repeated == 0 || number == d.days-1 {
		return d.make(start, domain.DefaultRetention().Cutoffs(contract.Now))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	model, ok := d.made[number%d.repeated]
	if !ok {
		var err error
		if model, err = d.make(start, domain.Cutoffs{}); err != nil {
			return model, err
		}
		d.made[number%d.repeated] = model
	}
	return model.moved(start), nil
}

// moved is the day on another date: values say nothing of when they are. Of these,
// only those within their retention are left.
func (l loadedDay) moved(to time.Time) loadedDay {
	cutoffs := domain.DefaultRetention().Cutoffs(contract.Now)
	kept := map[domain.Resolution]time.Time{domain.Hourly: cutoffs.Hourly, domain.Daily: cutoffs.Daily}
	keptErrors := map[domain.Resolution]time.Time{domain.Hourly: cutoffs.HourlyErrors, domain.Daily: cutoffs.DailyErrors}
	moved := loadedDay{start: to}
	for _, v := range l.values {
		v.Start = v.Start.Add(to.Sub(l.start))
		limit := kept[v.Resolution]
		if v.Grain&domain.GrainErrors != 0 {
			limit = keptErrors[v.Resolution]
		}
		if !v.Start.Before(limit) {
			moved.values = append(moved.values, v)
		}
	}
	return moved
}

func (d dataset) make(start time.Time, cutoffs domain.Cutoffs) (loadedDay, error) {
	day := loadedDay{start: start}
	events := d.shape.Day(1, day.start, d.events/d.days)
	for len(events) > 0 && events[len(events)-1].Hour.After(contract.Now) {
		events = events[:len(events)-1]
	}
	merge := domain.NewMerge(day.start, cutoffs)
	merge.AddFinest(domain.Finest(events))
	for _, bucket := range merge.Buckets() {
		err := merge.Bucket(bucket, func(domain.PackedGrain, int) (domain.Packed, error) { return domain.Packed{}, nil },
			func(p domain.Packed) error {
				day.values = append(day.values, p)
				return nil
			})
		if err != nil {
			return day, err
		}
	}
	if d.raw && !day.start.Before(cutoffs.Events) {
		day.events = events
	}
	return day, nil
}

// engine is a kind of store with an empty database.
type engine interface {
	// open opens the store with the cache. It is closed after the test.
	open(t *testing.T, buckets *app.PackedCache) store
	// insert puts a day into the tables.
	insert(ctx context.Context, day loadedDay) error
	// settle does what the database itself does in a quiet hour.
	settle(ctx context.Context) error
	// sizes lists what tables and indexes take.
	sizes(ctx context.Context) ([]size, error)
	// written runs work and returns how many bytes that wrote into the log of
	// transactions.
	written(ctx context.Context, work func() error) (int64, error)
}

// store is what is measured.
type store interface {
	ports.EventStore
	ports.StatisticsReader
	ports.Merger
}

type size struct {
	name  string
	bytes int64
}

// newEngine makes an empty database of that kind.
func newEngine(t *testing.T, name string) engine {
	t.Helper()
	if name == "sqlite" {
		return newSQLite(t)
	}
	return newPostgres(t)
}

// fill loads the dataset. Days are made side by side and inserted one by one.
func fill(t *testing.T, e engine, d dataset) {
	t.Helper()
	start := time.Now()
	from := &days{dataset: d, made: make(map[int]loadedDay)}
	group, ctx := errgroup.WithContext(t.Context())
	const makers = 2
	made := make(chan loadedDay, 1)
	var making errgroup.Group
	for m := range makers {
		making.Go(func() error {
			for number := m; number < d.days; number += makers {
				day, err := from.day(number)
				if err != nil {
					return err
				}
				select {
				case made <- day:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(made)
		return making.Wait()
	})
	group.Go(func() error {
		for day := range made {
			if err := e.insert(ctx, day); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := e.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v loaded in %v", d, time.Since(start).Truncate(time.Second))
}

// batchSize is about how many events a client sends at once.
const batchSize = 20

// inTransaction inserts what rows says into the tables.
func inTransaction(ctx context.Context, db *sqlx.DB, work func(tx *sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// each runs the statement with each of n rows.
func each(ctx context.Context, tx *sqlx.Tx, statement string, n int, row func(i int) []any) error {
	stmt, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for i := range n {
		if _, err := stmt.ExecContext(ctx, row(i)...); err != nil {
			return err
		}
	}
	return nil
}

// bucketsOf lists the buckets of values.
func bucketsOf(values []domain.Packed) []domain.PackedBucket {
	var buckets []domain.PackedBucket
	for i := range values {
		if i == 0 || values[i].PackedBucket != values[i-1].PackedBucket {
			buckets = append(buckets, values[i].PackedBucket)
		}
	}
	return buckets
}

// batchIDs makes the ids of the batches in which a day's events came.
func batchIDs(day loadedDay) []string {
	ids := make([]string, len(day.events)/batchSize)
	for i := range ids {
		ids[i] = fmt.Sprintf("%08x-%04x-7000-8000-%012x", day.start.Unix(), i>>16, i)
	}
	return ids
}

func optionalBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func scanSizes(rows *sql.Rows) ([]size, error) {
	defer rows.Close()
	var found []size
	for rows.Next() {
		var s size
		if err := rows.Scan(&s.name, &s.bytes); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// list splits a flag.
func list(flag string) []string {
	return strings.FieldsFunc(flag, func(r rune) bool { return r == ',' })
}
