package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
)

var pipelineNow = time.Date(2026, 11, 23, 14, 20, 0, 0, time.UTC)

// numbered makes ids that sort in their order.
type numbered struct{ next int }

func (n *numbered) NewBatchID() domain.BatchID {
	n.next++
	return domain.BatchID(fmt.Sprintf("batch-%04d", n.next))
}

func bodyOf(tools ...string) []byte {
	events := make([]string, len(tools))
	for i, tool := range tools {
		events[i] = `{"version":"1.23.0","tool":"` + tool + `","status":"success","timestamp_hour":"2026-11-23T14:00:00Z","analytics_level":"minimal"}`
	}
	return []byte(`{"events":[` + strings.Join(events, ",") + `]}`)
}

func newIngest(q ports.EventQueue) *app.Ingest {
	return app.NewIngest(domain.NewValidator(domain.ValidatorConfig{}), q, &numbered{}, memory.NewClock(pipelineNow))
}

func received(t *testing.T, q *memory.Queue) []domain.Batch {
	t.Helper()
	deliveries, err := q.Receive(t.Context(), 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	batches := make([]domain.Batch, len(deliveries))
	for i, d := range deliveries {
		batches[i] = d.Batch
	}
	return batches
}

func TestIngestQueuesWhatIsAccepted(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{})
	receipt, err := newIngest(queue).Submit(t.Context(), app.Submission{Body: bodyOf("get_alerts", "nonsense", "get_forecast")})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Accepted != 2 || receipt.Refused != 1 || len(receipt.Violations) != 1 || receipt.Violations[0].Index != 1 || !receipt.AcceptedAt.Equal(pipelineNow) {
		t.Errorf("receipt %+v", receipt)
	}
	batches := received(t, queue)
	if len(batches) != 1 || batches[0].ID != "batch-0001" || !batches[0].ReceivedAt.Equal(pipelineNow) ||
		len(batches[0].Events) != 2 || batches[0].Events[1].Tool != "get_forecast" {
		t.Errorf("queued %+v", batches)
	}
}

func TestIngestRefusalsLeaveNothing(t *testing.T) {
	cases := map[string]app.Submission{
		"no batch":          {Body: []byte(`{}`)},
		"nothing accepted":  {Body: bodyOf("nonsense")},
		"strict":            {Body: bodyOf("get_alerts", "nonsense"), Strict: true},
		"a key too strange": {Body: bodyOf("get_alerts"), IdempotencyKey: "a b"},
	}
	for name, submission := range cases {
		queue := memory.NewQueue(memory.QueueConfig{})
		_, err := newIngest(queue).Submit(t.Context(), submission)
		if domain.CodeOf(err) != domain.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
		if batches := received(t, queue); len(batches) != 0 {
			t.Errorf("%s: queued %+v", name, batches)
		}
	}
}

func TestIngestTellsAFullQueue(t *testing.T) {
	ingest := newIngest(memory.NewQueue(memory.QueueConfig{MaxEvents: 1}))
	for _, key := range []string{"", "key"} {
		_, err := ingest.Submit(t.Context(), app.Submission{Body: bodyOf("get_alerts", "get_alerts"), IdempotencyKey: key})
		if domain.CodeOf(err) != domain.CodeQueueFull {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestIngestHoldsEveryBatchWithoutAKey(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{})
	ingest := newIngest(queue)
	for range 2 {
		for _, tool := range []string{"get_alerts", "get_forecast"} {
			if _, err := ingest.Submit(t.Context(), app.Submission{Body: bodyOf(tool)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if batches := received(t, queue); len(batches) != 4 {
		t.Errorf("%d batches queued, want 4", len(batches))
	}
}

func TestIngestAnswersARepeatTheSame(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{})
	ingest := newIngest(queue)
	first, err := ingest.Submit(t.Context(), app.Submission{Body: bodyOf("get_alerts", "nonsense"), IdempotencyKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := ingest.Submit(t.Context(), app.Submission{Body: bodyOf("get_alerts", "nonsense"), IdempotencyKey: "k"})
	if err != nil || fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("%+v, %v; want %+v", again, err, first)
	}
	_, err = ingest.Submit(t.Context(), app.Submission{Body: bodyOf("get_forecast"), IdempotencyKey: "k"})
	if domain.CodeOf(err) != domain.CodeIdempotencyKeyReused {
		t.Errorf("another body under the key: %v", err)
	}
	if batches := received(t, queue); len(batches) != 1 {
		t.Errorf("%d batches queued", len(batches))
	}
}

// flakyStore fails as told and stores in memory otherwise.
type flakyStore struct {
	inner  *memory.Store
	mu     sync.Mutex
	calls  int
	fail   func(call int, batches []domain.Batch) error
	events int
}

func (s *flakyStore) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail != nil {
		if err := s.fail(s.calls, batches); err != nil {
			return ports.Stored{}, err
		}
	}
	stored, err := s.inner.Store(ctx, batches)
	s.events += stored.Events
	return stored, err
}

func enqueued(t *testing.T, sizes ...int) *memory.Queue {
	t.Helper()
	queue := memory.NewQueue(memory.QueueConfig{})
	ids := &numbered{}
	for _, size := range sizes {
		batch := domain.Batch{ID: ids.NewBatchID(), ReceivedAt: pipelineNow}
		for range size {
			batch.Events = append(batch.Events, domain.Event{Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess, Hour: pipelineNow.Truncate(time.Hour), Level: domain.LevelMinimal})
		}
		if err := queue.Enqueue(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	return queue
}

func newProcess(q ports.Deliveries, s ports.EventStore, config app.ProcessConfig) *app.Process {
	return app.NewProcess(q, s, slog.New(slog.DiscardHandler), config)
}

func depth(t *testing.T, q *memory.Queue) ports.QueueDepth {
	t.Helper()
	d, err := q.Depth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStepStoresAndAcknowledges(t *testing.T) {
	queue, store := enqueued(t, 2, 3, 4), &flakyStore{inner: memory.NewStore()}
	process := newProcess(queue, store, app.ProcessConfig{BatchSize: 5})
	for _, want := range []int{5, 9} {
		if err := process.Step(t.Context(), t.Context()); err != nil || store.events != want {
			t.Errorf("%d events stored, %v; want %d", store.events, err, want)
		}
	}
	if d := depth(t, queue); d.Batches != 0 || d.DeadLetters != 0 {
		t.Errorf("left over: %+v", d)
	}
}

func TestStepOnAnEmptyQueueDoesNothing(t *testing.T) {
	store := &flakyStore{inner: memory.NewStore()}
	process := newProcess(memory.NewQueue(memory.QueueConfig{}), store, app.ProcessConfig{PollInterval: time.Millisecond})
	if err := process.Step(t.Context(), t.Context()); err != nil || store.calls != 0 {
		t.Errorf("%d calls, %v", store.calls, err)
	}
}

func holds(batches []domain.Batch, id domain.BatchID) bool {
	return slices.ContainsFunc(batches, func(b domain.Batch) bool { return b.ID == id })
}

func TestAPoisonBatchIsBuriedAlone(t *testing.T) {
	queue, store := enqueued(t, 1, 2, 4), &flakyStore{inner: memory.NewStore()}
	alone := 0
	store.fail = func(_ int, batches []domain.Batch) error {
		if !holds(batches, "batch-0002") {
			return nil
		}
		if len(batches) == 1 {
			alone++
		}
		return domain.NewError(domain.CodePoison, nil, "a date beyond all dates")
	}
	process := newProcess(queue, store, app.ProcessConfig{MaxTries: 4})
	for range 4 {
		if letters := queue.DeadLetters(); len(letters) > 0 {
			t.Fatalf("too early: %+v", letters)
		}
		if err := process.Step(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	letters := queue.DeadLetters()
	if len(letters) != 1 || letters[0].Batch.ID != "batch-0002" || letters[0].Attempts != 4 ||
		!strings.Contains(letters[0].Reason, "beyond all dates") {
		t.Errorf("dead letters %+v", letters)
	}
	if store.events != 5 || alone != 4 || depth(t, queue).Batches != 0 {
		t.Errorf("%d events stored, %d tries alone, %+v left", store.events, alone, depth(t, queue))
	}
}

// A burial that fails is none, and no log says otherwise.
func TestABurialThatFailsIsNotLogged(t *testing.T) {
	control := gomock.NewController(t)
	deliveries, store := mocks.NewMockDeliveries(control), mocks.NewMockEventStore(control)
	delivery := ports.Delivery{Batch: domain.Batch{ID: "one"}, Attempt: 3}
	poison := domain.NewError(domain.CodePoison, nil, "no")
	deliveries.EXPECT().Receive(gomock.Any(), gomock.Any(), gomock.Any()).Return([]ports.Delivery{delivery}, nil).Times(2)
	store.EXPECT().Store(gomock.Any(), gomock.Any()).Return(ports.Stored{}, poison).Times(2)
	gomock.InOrder(
		deliveries.EXPECT().Bury(gomock.Any(), domain.BatchID("one"), gomock.Any()).
			Return(domain.NewError(domain.CodeUnavailable, nil, "away")),
		deliveries.EXPECT().Return(gomock.Any(), domain.BatchID("one")).Return(nil),
		deliveries.EXPECT().Bury(gomock.Any(), domain.BatchID("one"), gomock.Any()).Return(nil),
	)
	var log bytes.Buffer
	process := app.NewProcess(deliveries, store, slog.New(slog.NewTextHandler(&log, nil)), app.ProcessConfig{})
	if err := process.Step(t.Context(), t.Context()); domain.CodeOf(err) != domain.CodeUnavailable || strings.Contains(log.String(), "buried") {
		t.Errorf("%v, logged %s", err, log.String())
	}
	if err := process.Step(t.Context(), t.Context()); err != nil || !strings.Contains(log.String(), "batch buried") {
		t.Errorf("%v, logged %s", err, log.String())
	}
}

func TestAnAwayStoreLosesNothing(t *testing.T) {
	queue, store := enqueued(t, 1, 2), &flakyStore{inner: memory.NewStore()}
	store.fail = func(call int, _ []domain.Batch) error {
		if call == 1 {
			return domain.NewError(domain.CodeUnavailable, nil, "away")
		}
		return nil
	}
	process := newProcess(queue, store, app.ProcessConfig{})
	if err := process.Step(t.Context(), t.Context()); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("first step: %v", err)
	}
	if err := process.Step(t.Context(), t.Context()); err != nil || store.events != 3 || depth(t, queue).Batches != 0 {
		t.Errorf("second step: %v, %d events, %+v", err, store.events, depth(t, queue))
	}
}

func TestAStoreThatGoesAwayBesidePoisonLosesNothing(t *testing.T) {
	queue, store := enqueued(t, 1, 2, 4), &flakyStore{inner: memory.NewStore()}
	store.fail = func(call int, batches []domain.Batch) error {
		switch {
		case len(batches) > 1:
			return domain.NewError(domain.CodePoison, nil, "no")
		case call == 3:
			return errors.New("unclassified: no reason to bury anything")
		default:
			return nil
		}
	}
	process := newProcess(queue, store, app.ProcessConfig{})
	if err := process.Step(t.Context(), t.Context()); err == nil {
		t.Error("the failure was swallowed")
	}
	if d := depth(t, queue); d.Batches != 2 || d.DeadLetters != 0 || store.events != 1 {
		t.Errorf("%+v left, %d stored", d, store.events)
	}
	if err := process.Step(t.Context(), t.Context()); err != nil || store.events != 7 {
		t.Errorf("%v, %d stored", err, store.events)
	}
}

func TestAQueueThatFailsAfterTheCommitCountsNothingTwice(t *testing.T) {
	control := gomock.NewController(t)
	deliveries, store := mocks.NewMockDeliveries(control), memory.NewStore()
	batch := domain.Batch{ID: "one", Events: []domain.Event{{Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess, Hour: pipelineNow.Truncate(time.Hour)}}}
	deliveries.EXPECT().Receive(gomock.Any(), gomock.Any(), gomock.Any()).Return([]ports.Delivery{{Batch: batch}}, nil).Times(2)
	lost := domain.NewError(domain.CodeUnavailable, nil, "connection lost")
	gomock.InOrder(
		deliveries.EXPECT().Acknowledge(gomock.Any(), domain.BatchID("one")).Return(lost),
		deliveries.EXPECT().Return(gomock.Any(), domain.BatchID("one")).Return(nil),
		deliveries.EXPECT().Acknowledge(gomock.Any(), domain.BatchID("one")).Return(nil),
	)
	process := newProcess(deliveries, store, app.ProcessConfig{})
	if err := process.Step(t.Context(), t.Context()); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Error(err)
	}
	if err := process.Step(t.Context(), t.Context()); err != nil {
		t.Error(err)
	}
	if activity, err := store.Activity(t.Context()); err != nil || activity.Events != 1 {
		t.Errorf("%+v, %v", activity, err)
	}
}

func TestRunBacksOffAndComesBack(t *testing.T) {
	queue, store := enqueued(t, 1, 2), &flakyStore{inner: memory.NewStore()}
	ctx, stop := context.WithCancel(t.Context())
	store.fail = func(call int, _ []domain.Batch) error {
		if call <= 3 {
			return domain.NewError(domain.CodeUnavailable, nil, "away")
		}
		if call == 4 {
			stop() // what is in hand is finished all the same
		}
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		newProcess(queue, store, app.ProcessConfig{BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond}).Run(ctx, t.Context())
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
	if store.events != 3 || depth(t, queue).Batches != 0 {
		t.Errorf("%d events stored, %+v left", store.events, depth(t, queue))
	}
}

func TestRunStopsWhileItWaits(t *testing.T) {
	queue := enqueued(t, 1)
	ctx, stop := context.WithCancel(t.Context())
	store := &flakyStore{inner: memory.NewStore(), fail: func(int, []domain.Batch) error {
		time.AfterFunc(time.Millisecond, stop)
		return domain.NewError(domain.CodeUnavailable, nil, "away")
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		newProcess(queue, store, app.ProcessConfig{BackoffMin: time.Hour, BackoffMax: time.Hour}).Run(ctx, t.Context())
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting")
	}
}

func TestExplainTellsPlacesAndDates(t *testing.T) {
	explain := app.NewExplain(domain.NewValidator(domain.ValidatorConfig{}), domain.DefaultRetention(), memory.NewClock(pipelineNow))
	failed := `{"version":"1.23.0","tool":"get_alerts","status":"error","error_type":"timeout","timestamp_hour":"2026-11-23T14:00:00Z","analytics_level":"standard","country":"de"}`
	got, err := explain.Batch([]byte(`{"events":[{"version":"1"},` + failed + `]}`))
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Index != 0 || got[0].Event != nil || len(got[0].Violations) != 4 || len(got[0].Counted) != 0 {
		t.Errorf("refused: %+v", got[0])
	}
	accepted := got[1]
	if accepted.Index != 1 || accepted.Event == nil || accepted.Event.Country != "DE" || len(accepted.Violations) != 0 {
		t.Errorf("accepted: %+v", accepted)
	}
	day := 24 * time.Hour
	hour, date := pipelineNow.Truncate(time.Hour), pipelineNow.Truncate(day)
	if want := hour.Add(time.Hour + 90*day); !accepted.RawDeletedAt.Equal(want) {
		t.Errorf("raw event deleted at %v, want %v", accepted.RawDeletedAt, want)
	}
	places := make(map[app.AggregateKind]int)
	for _, c := range accepted.Counted {
		places[c.Kind]++
		want, bucket := map[app.AggregateKind]time.Time{
			app.AggregateHourly: hour.Add(time.Hour + 30*day),
			app.AggregateDaily:  date.Add(day + 730*day),
			app.AggregateErrors: c.Bucket.Add(c.Resolution.Length() + 90*day),
		}[c.Kind], c.Resolution.Floor(hour)
		if !c.DeletedAt.Equal(want) || !c.Bucket.Equal(bucket) || (c.ErrorType == "timeout") != (c.Kind == app.AggregateErrors) {
			t.Errorf("%+v, want deleted at %v", c, want)
		}
		if c.Group.Grain.Has(domain.DimensionCountry) != (c.Group.Country == "DE") {
			t.Errorf("group %+v", c.Group)
		}
	}
	if places[app.AggregateHourly] != 7 || places[app.AggregateDaily] != 13 || places[app.AggregateErrors] != 4 {
		t.Errorf("counted in %v", places)
	}
	if _, err := explain.Batch([]byte(`[]`)); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("no batch: %v", err)
	}
}

func TestExplainSaysOnceWhatIsTheSame(t *testing.T) {
	explain := app.NewExplain(domain.NewValidator(domain.ValidatorConfig{}), domain.DefaultRetention(), memory.NewClock(pipelineNow))
	event := func(version string, sequence int) string {
		return fmt.Sprintf(`{"version":%q,"tool":"get_alerts","status":"success","timestamp_hour":"2026-11-23T14:00:00Z",`+
			`"analytics_level":"detailed","sequence_number":%d}`, version, sequence)
	}
	events := []string{`{"email":1}`, event("1.0", 1), event("1.0", 1), event("1.0", 2), `{"email":1}`, `{}`}
	for n := range 12 {
		events = append(events, event(fmt.Sprintf("2.%d", n), n))
	}
	got, err := explain.Batch([]byte(`{"events":[` + strings.Join(events, " ,\n ") + `]}`))
	if err != nil || len(got) != len(events) {
		t.Fatalf("%d explanations, %v", len(got), err)
	}
	same := map[int]int{2: 1, 4: 0}
	for i, e := range got {
		first, repeats := same[i]
		refused := i == 0 || i == 4 || i == 5
		switch {
		case e.Index != i || e.Accepted == refused || e.SameAs != (domain.Optional[int]{Value: first, Valid: repeats}):
			t.Errorf("event %d: %+v", i, e)
		case repeats && (e.Event != nil || len(e.Violations) > 0 || len(e.Counted) > 0 || !e.RawDeletedAt.IsZero()):
			t.Errorf("event %d is explained again: %+v", i, e)
		case !repeats && refused != (len(e.Violations) > 0), !repeats && refused != (e.Event == nil):
			t.Errorf("event %d: %+v", i, e)
		case i == 3 && (e.CountedAs != domain.Some(1) || len(e.Counted) > 0 || e.Event.SequenceNumber != domain.Some[int32](2)):
			t.Errorf("event %d counts as %+v", i, e)
		}
	}
	// The tenth list is that of 2.8.
	if last := got[6+8]; len(last.Counted) != 20 || last.CountedOmitted {
		t.Errorf("%+v", last)
	}
	for _, e := range got[6+9:] {
		if len(e.Counted) > 0 || e.CountedAs.Valid || !e.CountedOmitted || e.Event == nil || e.RawDeletedAt.IsZero() {
			t.Errorf("beyond the limit: %+v", e)
		}
	}
}

func TestExplainListsBoundedViolations(t *testing.T) {
	explain := app.NewExplain(domain.NewValidator(domain.ValidatorConfig{}), domain.DefaultRetention(), memory.NewClock(pipelineNow))
	events := make([]string, 100)
	for i := range events {
		events[i] = fmt.Sprintf(`{"more":%d}`, i) // five required fields are missing
	}
	got, err := explain.Batch([]byte(`{"events":[` + strings.Join(events, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for _, e := range got {
		if len(e.Violations) == 0 || len(e.Violations)+e.Omitted != 5 {
			t.Errorf("%+v", e)
		}
		listed += len(e.Violations)
	}
	if len(got[0].Violations) != 5 || listed != 100+app.MaxExplainedViolations {
		t.Errorf("%d of the first and %d of all are listed", len(got[0].Violations), listed)
	}
}

// TestExplainedDatesAreThoseOfRetention holds the two formulas together: a
// bucket is kept just before the date and due just at it.
func TestExplainedDatesAreThoseOfRetention(t *testing.T) {
	retention := domain.DefaultRetention()
	explain := app.NewExplain(domain.NewValidator(domain.ValidatorConfig{}), retention, memory.NewClock(pipelineNow))
	got, err := explain.Batch(bodyOf("get_alerts"))
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	due := func(at time.Time, c app.Counted) bool {
		cutoffs := retention.Cutoffs(at)
		if c.Kind == app.AggregateDaily {
			return c.Bucket.Before(cutoffs.Daily)
		}
		return c.Bucket.Before(cutoffs.Hourly)
	}
	for _, c := range got[0].Counted {
		if due(c.DeletedAt.Add(-time.Second), c) || !due(c.DeletedAt, c) {
			t.Errorf("%s of %v is not due just at %v", c.Kind, c.Bucket, c.DeletedAt)
		}
	}
	hour, raw := got[0].Event.Hour, got[0].RawDeletedAt
	if hour.Before(retention.Cutoffs(raw.Add(-time.Second)).Events) || !hour.Before(retention.Cutoffs(raw).Events) {
		t.Errorf("the raw event is not due just at %v", raw)
	}
}

// check is a health check made of functions.
type check struct {
	name string
	run  func(context.Context) error
}

func (c check) Name() string                    { return c.name }
func (c check) Check(ctx context.Context) error { return c.run(ctx) }

func good(context.Context) error { return nil }

func TestHealthIsThatOfAllChecks(t *testing.T) {
	clock := memory.NewClock(pipelineNow)
	broken := errors.New("broken")
	cases := map[string]struct {
		checks  []ports.HealthCheck
		healthy bool
	}{
		"none":       {nil, true},
		"good":       {[]ports.HealthCheck{check{"a", good}, check{"b", good}}, true},
		"one is bad": {[]ports.HealthCheck{check{"a", good}, check{"b", func(context.Context) error { return broken }}}, false},
	}
	for name, c := range cases {
		status := app.NewStatus(c.checks, nil, nil, clock, nil, nil)
		clock.Advance(time.Minute)
		health := status.Health(t.Context())
		if health.Healthy != c.healthy || len(health.Checks) != len(c.checks) || health.Uptime != time.Minute {
			t.Errorf("%s: %+v", name, health)
		}
		for i, r := range health.Checks {
			if r.Name != c.checks[i].Name() || (r.Err == nil) != (r.Name == "a" || c.healthy) {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

func TestHealthGivesUpOnAHangingCheck(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	hanging := check{"slow", func(context.Context) error { <-release; return nil }}
	status := app.NewStatus([]ports.HealthCheck{hanging}, nil, nil, memory.NewClock(pipelineNow), nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	health := status.Health(ctx)
	if health.Healthy || domain.CodeOf(health.Checks[0].Err) != domain.CodeUnavailable {
		t.Errorf("%+v", health)
	}
}

// Nobody else recovers in the goroutine of a check.
func TestHealthSurvivesAPanickingCheck(t *testing.T) {
	panicking := check{"broken", func(context.Context) error { panic("canary") }}
	status := app.NewStatus([]ports.HealthCheck{panicking, check{"store", good}}, nil, nil, memory.NewClock(pipelineNow), nil, nil)
	health := status.Health(t.Context())
	err := health.Checks[0].Err
	if health.Healthy || domain.CodeOf(err) != domain.CodeInternal || health.Checks[1].Err != nil {
		t.Errorf("%+v", health)
	}
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("the check failed with %v", err)
	}
	if public := status.Public(t.Context()); public.Condition != app.ConditionDown {
		t.Errorf("in public the service is %s", public.Condition)
	}
}

func TestPublicHealth(t *testing.T) {
	clock := memory.NewClock(pipelineNow)
	store := memory.NewStore()
	hour := pipelineNow.Truncate(time.Hour)
	event := func(at time.Time) domain.Event {
		return domain.Event{Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess, Hour: at}
	}
	_, err := store.Store(t.Context(), []domain.Batch{{ID: "1", ReceivedAt: pipelineNow.Add(-time.Minute), Events: []domain.Event{event(hour), event(hour.Add(-48 * time.Hour))}}})
	if err != nil {
		t.Fatal(err)
	}
	queue := memory.NewQueue(memory.QueueConfig{Clock: clock})
	status := app.NewStatus([]ports.HealthCheck{check{"store", good}}, queue, store, clock, nil, nil)
	expect := func(condition app.Condition, events int64) {
		t.Helper()
		got := status.Public(t.Context())
		if got.Condition != condition || got.Dated24h.Value != events || got.Dated24h.Err != nil {
			t.Errorf("%+v, want %s with %d events", got, condition, events)
		}
		if !got.LastReceived.Value.Equal(pipelineNow.Add(-time.Minute)) {
			t.Errorf("last received %v", got.LastReceived)
		}
	}
	expect(app.ConditionHealthy, 1)
	if err := queue.Enqueue(t.Context(), domain.Batch{ID: "2", ReceivedAt: pipelineNow, Events: []domain.Event{event(hour)}}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(app.MaxLag)
	expect(app.ConditionHealthy, 1)
	clock.Advance(time.Second)
	expect(app.ConditionDegraded, 1)
	status = app.NewStatus([]ports.HealthCheck{check{"store", func(context.Context) error { return errors.New("no") }}}, queue, store, clock, nil, nil)
	expect(app.ConditionDown, 1) // what is known is told
}

func TestPublicHealthIsDownWithoutQueueOrStore(t *testing.T) {
	away := domain.NewError(domain.CodeUnavailable, nil, "away")
	control := gomock.NewController(t)
	badQueue, badReader := mocks.NewMockQueueMeter(control), mocks.NewMockStatisticsReader(control)
	badQueue.EXPECT().Depth(gomock.Any()).Return(ports.QueueDepth{}, away)
	badReader.EXPECT().Activity(gomock.Any()).Return(domain.Activity{}, nil)
	badReader.EXPECT().Select(gomock.Any(), gomock.Any()).Return(domain.Selected{}, away)
	clock, queue := memory.NewClock(pipelineNow), memory.NewQueue(memory.QueueConfig{})
	for name, status := range map[string]*app.Status{
		"queue": app.NewStatus(nil, badQueue, memory.NewStore(), clock, nil, nil),
		"store": app.NewStatus(nil, queue, badReader, clock, nil, nil),
	} {
		if got := status.Public(t.Context()); got.Condition != app.ConditionDown {
			t.Errorf("without %s: %+v", name, got)
		}
	}
}
