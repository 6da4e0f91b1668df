package app_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
)

// TestIngestDoesNotJudgeARepeat repeats a request once its batch would be
// refused.
func TestIngestDoesNotJudgeARepeat(t *testing.T) {
	body := bodyOf("get_alerts", "nonsense")
	knowing := func(tool string) *domain.Validator {
		catalogue, err := domain.ParseCatalogue([]byte(`{"tools":["` + tool + `"],"services":["noaa"]}`))
		if err != nil {
			t.Fatal(err)
		}
		return domain.NewValidator(domain.ValidatorConfig{Catalogue: catalogue})
	}
	for name, c := range map[string]struct {
		validator *domain.Validator
		at        time.Time
		strict    bool
	}{
		"too old":                  {knowing("get_alerts"), pipelineNow.Add(domain.DefaultMaxAge + time.Hour), false},
		"no tool of the catalogue": {knowing("get_forecast"), pipelineNow, false},
		"strict":                   {knowing("get_alerts"), pipelineNow, true},
	} {
		t.Run(name, func(t *testing.T) {
			queue := memory.NewQueue(memory.QueueConfig{Clock: memory.NewClock(pipelineNow)})
			early := app.NewIngest(knowing("get_alerts"), queue, &numbered{}, memory.NewClock(pipelineNow))
			later := app.NewIngest(c.validator, queue, &numbered{}, memory.NewClock(c.at))
			first, err := early.Submit(t.Context(), app.Submission{Body: body, IdempotencyKey: "k"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := later.Submit(t.Context(), app.Submission{Body: body, Strict: c.strict, IdempotencyKey: "new"}); domain.CodeOf(err) != domain.CodeInvalid {
				t.Fatalf("under a new key: %v, and so this test tests nothing", err)
			}
			again, err := later.Submit(t.Context(), app.Submission{Body: body, Strict: c.strict, IdempotencyKey: "k"})
			if err != nil || !reflect.DeepEqual(again, first) {
				t.Errorf("%+v, %v; want %+v", again, err, first)
			}
			if batches := received(t, queue); len(batches) != 1 {
				t.Errorf("%d batches queued", len(batches))
			}
		})
	}
}

func TestIngestRefusesAnyOtherBodyUnderAUsedKey(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{})
	ingest := newIngest(queue)
	submit := func(key string, body []byte) domain.Code {
		_, err := ingest.Submit(t.Context(), app.Submission{Body: body, IdempotencyKey: key})
		return domain.CodeOf(err)
	}
	bad := [][]byte{nil, []byte(`{"events":[]}`), []byte(`{"events":`), bodyOf("nonsense")}
	for _, body := range bad {
		if code := submit("k", body); code != domain.CodeInvalid {
			t.Errorf("%s under a key that is not used: %q", body, code)
		}
	}
	if code := submit("k", bodyOf("get_alerts")); code != "" { // a refusal uses up no key
		t.Fatalf("the first batch is answered %q", code)
	}
	for _, body := range bad {
		if code := submit("k", body); code != domain.CodeIdempotencyKeyReused {
			t.Errorf("%s under a used key: %q", body, code)
		}
	}
	if batches := received(t, queue); len(batches) != 1 {
		t.Errorf("%d batches queued", len(batches))
	}
}

// TestIngestCountsTheEventsOfARepeat repeats what the limiter admits and what it
// does not.
func TestIngestCountsTheEventsOfARepeat(t *testing.T) {
	ingest := newIngest(memory.NewQueue(memory.QueueConfig{}))
	refusal := errors.New("too many")
	var asked []int
	submit := func(answer error, body []byte) error {
		_, err := ingest.Submit(t.Context(), app.Submission{
			Body: body, IdempotencyKey: "k",
			Admit: func(_ context.Context, events int) error {
				asked = append(asked, events)
				return answer
			},
		})
		return err
	}
	body := bodyOf("get_alerts", "nonsense", "get_forecast")
	for range 2 {
		if err := submit(nil, body); err != nil {
			t.Errorf("admitted, and yet: %v", err)
		}
	}
	if err := submit(refusal, body); !errors.Is(err, refusal) {
		t.Errorf("a repeat that is not admitted: %v", err)
	}
	if err := submit(nil, bodyOf("get_alerts")); domain.CodeOf(err) != domain.CodeIdempotencyKeyReused {
		t.Errorf("another body: %v", err)
	}
	if !slices.Equal(asked, []int{3, 3, 3}) {
		t.Errorf("asked about %v events", asked)
	}
}

func TestIngestThatCannotLookUp(t *testing.T) {
	queue := mocks.NewMockEventQueue(gomock.NewController(t))
	away := domain.NewError(domain.CodeUnavailable, nil, "away")
	queue.EXPECT().Receipt(gomock.Any(), gomock.Any()).Times(2).Return(domain.Receipt{}, false, away)
	// Whether this is a repeat is unknown, so a refusal might be wrong.
	for _, body := range [][]byte{bodyOf("get_alerts"), bodyOf("nonsense")} {
		_, err := newIngest(queue).Submit(t.Context(), app.Submission{Body: body, IdempotencyKey: "k"})
		if domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("error is %v", err)
		}
	}
	// Without a key nothing is looked up.
	queue.EXPECT().Enqueue(gomock.Any(), gomock.Any()).Return(nil)
	if _, err := newIngest(queue).Submit(t.Context(), app.Submission{Body: bodyOf("get_alerts")}); err != nil {
		t.Errorf("without a key: %v", err)
	}
}

// TestIngestLeavesTheAtomicCheckToTheQueue has another request with the key come
// between the look-up and the holding.
func TestIngestLeavesTheAtomicCheckToTheQueue(t *testing.T) {
	queue := mocks.NewMockEventQueue(gomock.NewController(t))
	other := domain.Receipt{AcceptedAt: pipelineNow.Add(-time.Minute), Accepted: 1}
	var lookup, holding time.Time
	queue.EXPECT().Receipt(gomock.Any(), gomock.Any()).DoAndReturn(
		func(ctx context.Context, _ domain.KeyedRequest) (domain.Receipt, bool, error) {
			lookup, _ = ctx.Deadline()
			return domain.Receipt{}, false, nil
		})
	queue.EXPECT().EnqueueOnce(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(
		func(ctx context.Context, _ domain.KeyedRequest, _ domain.Batch, _ domain.Receipt) (domain.Receipt, error) {
			holding, _ = ctx.Deadline()
			return other, nil
		})
	start := time.Now()
	got, err := newIngest(queue).Submit(t.Context(), app.Submission{Body: bodyOf("get_alerts"), IdempotencyKey: "k"})
	if err != nil || !reflect.DeepEqual(got, other) {
		t.Errorf("%+v, %v; want %+v", got, err, other)
	}
	if lookup.IsZero() || !lookup.Equal(holding) || lookup.Before(start) {
		t.Errorf("the look-up may take until %v, the holding until %v", lookup, holding)
	}
}
