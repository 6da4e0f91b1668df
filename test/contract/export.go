package contract

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// OpenExporter returns an empty store and what exports it.
type OpenExporter func(t *testing.T) (StoreHarness, ports.Exporter)

// Exporter tests an adapter against the promises of ports.Exporter.
func Exporter(t *testing.T, open OpenExporter) {
	for name, test := range map[string]func(*testing.T, OpenExporter){
		"an empty store gives nothing":                   testExportNothing,
		"every group is there, and adds up":              testExportHolds,
		"what is merged meanwhile is there once":         testExportBesideMergers,
		"a cancelled export ends":                        testExportCancelled,
		"a broken store says that it cannot be exported": testExportBroken,
		"any order of all that gives the same export":    testExportAnyOrder,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// exported is everything that a store gives out.
type exported struct {
	calls  []domain.RollupRow
	errors []domain.ErrorRow
}

func exportAll(ctx context.Context, e ports.Exporter, r domain.Resolution) (exported, error) {
	var all exported
	days, err := e.ExportDays(ctx, r)
	if err != nil {
		return all, err
	}
	if !slices.IsSortedFunc(days, time.Time.Compare) || len(slices.Compact(slices.Clone(days))) != len(days) {
		return all, errors.New("days are not in order, or are listed twice")
	}
	for _, day := range days {
		for start := day; start.Before(day.Add(domain.Daily.Length())); start = start.Add(r.Length()) {
			calls, err := e.ExportCalls(ctx, domain.PackedBucket{Resolution: r, Start: start})
			if err != nil {
				return all, err
			}
			failures, err := e.ExportErrors(ctx, domain.PackedBucket{Resolution: r, Start: start})
			if err != nil {
				return all, err
			}
			all.calls, all.errors = append(all.calls, calls...), append(all.errors, failures...)
		}
	}
	return all, nil
}

// differences compares all of these resolutions that two stores give out.
func differences(ctx context.Context, got, want ports.Exporter, resolutions ...domain.Resolution) string {
	for _, r := range resolutions {
		a, err := exportAll(ctx, got, r)
		if err != nil {
			return "export: " + err.Error()
		}
		b, err := exportAll(ctx, want, r)
		if err != nil {
			return "export of the reference: " + err.Error()
		}
		if d := firstDifference(a.calls, b.calls); d != "" {
			return "calls: " + d
		}
		if d := firstDifference(a.errors, b.errors); d != "" {
			return "errors: " + d
		}
	}
	return ""
}

func testExportNothing(t *testing.T, open OpenExporter) {
	_, e := open(t)
	for _, r := range domain.Resolutions() {
		if days, err := e.ExportDays(t.Context(), r); err != nil || len(days) > 0 {
			t.Errorf("days are %v, %v", days, err)
		}
		b := domain.PackedBucket{Resolution: r, Start: domain.Daily.Floor(Now)}
		if rows, err := e.ExportCalls(t.Context(), b); err != nil || len(rows) > 0 {
			t.Errorf("calls are %v, %v", rows, err)
		}
		if rows, err := e.ExportErrors(t.Context(), b); err != nil || len(rows) > 0 {
			t.Errorf("errors are %v, %v", rows, err)
		}
	}
}

// testExportHolds exports from the journal, then from the packed aggregates, and
// then from both.
func testExportHolds(t *testing.T, open OpenExporter) {
	h, e := open(t)
	events := EventsOver(41, 600, 60)
	store(t, h.Store, Batches(1, 100, events)...)
	checkExports(t, h, e, events)
	mergeAll(t, h.Store, 1_000_000, domain.Cutoffs{})
	checkExports(t, h, e, events)
	more := EventsOver(42, 300, 60)
	store(t, h.Store, Batches(90, 100, more)...)
	checkExports(t, h, e, slices.Concat(events, more))
}

// checkExports demands the export of a store that holds the events, in which the
// rows of a bucket add up to what Select answers.
func checkExports(t *testing.T, h StoreHarness, e ports.Exporter, events []domain.Event) {
	t.Helper()
	reference := memory.NewStore()
	store(t, reference, NewBatch(1, events...))
	if d := differences(t.Context(), e, reference, domain.Resolutions()...); d != "" {
		t.Error(d)
	}
	for _, w := range []domain.Window{hours(), days()} {
		all, err := exportAll(t.Context(), e, w.Resolution)
		must(t, err)
		if !slices.IsSortedFunc(all.calls, domain.CompareRollupRows) || !slices.IsSortedFunc(all.errors, domain.CompareErrorRows) {
			t.Errorf("the %ss are not in order", w.Resolution)
		}
		selection := domain.Selection{Window: w, By: []domain.Dimension{domain.DimensionNone}, Latency: true, Sessions: true, Errors: true}
		selected, err := h.Store.Select(t.Context(), selection)
		must(t, err)
		if d := Difference(sums(all), selected); d != "" {
			t.Errorf("the export does not add up to the answer: %s", d)
		}
	}
}

// sums adds the rows of each bucket up.
func sums(all exported) domain.Selected {
	totals := make(map[time.Time]*domain.RollupRow)
	for i := range all.calls {
		row := &all.calls[i]
		if totals[row.Bucket] == nil {
			totals[row.Bucket] = &domain.RollupRow{Resolution: row.Resolution, Bucket: row.Bucket}
		}
		totals[row.Bucket].Rollup.Merge(&row.Rollup)
	}
	types := make(map[domain.ErrorKey]*domain.ErrorRow)
	for i := range all.errors {
		row := &all.errors[i]
		key := row.ErrorKey
		key.Group = domain.Group{}
		if types[key] == nil {
			types[key] = &domain.ErrorRow{ErrorKey: key}
		}
		types[key].Merge(&row.ErrorSummary)
	}
	selected := domain.Selected{Rollups: map[domain.Dimension][]domain.RollupRow{}}
	for _, row := range totals {
		selected.Rollups[domain.DimensionNone] = append(selected.Rollups[domain.DimensionNone], *row)
	}
	for _, row := range types {
		selected.Errors = append(selected.Errors, *row)
	}
	slices.SortFunc(selected.Rollups[domain.DimensionNone], domain.CompareRollupRows)
	slices.SortFunc(selected.Errors, domain.CompareErrorRows)
	return selected
}

func testExportBesideMergers(t *testing.T, open OpenExporter) {
	h, e := open(t)
	events := EventsOver(43, 600, 30)
	store(t, h.Store, Batches(1, 20, events)...)
	of := daysOf(events)
	var merging atomic.Bool
	merging.Store(true)
	inParallel(2, func(i int) {
		if i == 0 {
			defer merging.Store(false)
			for range 8 {
				for day := range maps.Keys(of) {
					_, err := mergerOf(t, h.Store).Merge(t.Context(), day, 50, domain.Cutoffs{})
					must(t, err)
				}
			}
			return
		}
		for busy := true; busy; {
			busy = merging.Load()
			for day, want := range of {
				rows, err := e.ExportCalls(t.Context(), domain.PackedBucket{Resolution: domain.Daily, Start: day})
				must(t, err)
				var calls int64
				for i := range rows {
					calls += rows[i].Rollup.Calls
				}
				if calls != int64(len(want)) {
					t.Errorf("%s has %d calls, want %d", day.Format(time.DateOnly), calls, len(want))
				}
			}
		}
	})
}

func testExportCancelled(t *testing.T, open OpenExporter) {
	h, e := open(t)
	store(t, h.Store, batchOf(1, 20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for call, err := range exportErrors(ctx, e) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want one of context.Canceled", call, err)
		}
	}
}

// exportErrors is the error of each call.
func exportErrors(ctx context.Context, e ports.Exporter) map[string]error {
	b := domain.PackedBucket{Resolution: domain.Daily, Start: domain.Daily.Floor(Now)}
	_, days := e.ExportDays(ctx, domain.Daily)
	_, calls := e.ExportCalls(ctx, b)
	_, failures := e.ExportErrors(ctx, b)
	return map[string]error{"ExportDays": days, "ExportCalls": calls, "ExportErrors": failures}
}

func testExportBroken(t *testing.T, open OpenExporter) {
	h, e := open(t)
	if h.Break == nil {
		t.Skip("cannot break")
	}
	store(t, h.Store, batchOf(1, 20))
	h.Break(t)
	for call, err := range exportErrors(t.Context(), e) {
		if domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("%s: %v of code %q", call, err, domain.CodeOf(err))
		}
	}
}

// testExportAnyOrder compares all that a store gives out with what the one in
// memory does.
func testExportAnyOrder(t *testing.T, open OpenExporter) {
	h, e := open(t)
	inAnyOrder(t, h.Store, func(t *rapid.T, _, reference StorePorts) {
		want, ok := reference.(ports.Exporter)
		if !ok {
			t.Fatalf("%T is no ports.Exporter", reference)
		}
		resolution := rapid.SampledFrom(domain.Resolutions()).Draw(t, "resolution")
		if d := differences(t.Context(), e, want, resolution); d != "" {
			t.Fatalf("the export differs from the reference:\n%s", d)
		}
	})
}
