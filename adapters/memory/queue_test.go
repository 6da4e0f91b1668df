package memory_test

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestQueue(t *testing.T) {
	contract.Queue(t, func(_ *testing.T, b contract.QueueBounds) contract.QueueHarness {
		clock := memory.NewClock(contract.Now)
		q := memory.NewQueue(memory.QueueConfig{
			MaxEvents: b.Events, MaxBytes: b.Bytes, MaxReceipts: b.Receipts, MaxReceiptBytes: b.ReceiptBytes,
			MaxDeadLetters: b.DeadLetters, MaxDeadLetterBytes: b.DeadLetterBytes, Clock: clock,
		})
		return contract.QueueHarness{
			Queue:   q,
			Advance: clock.Advance,
			Expire: func(t *testing.T) {
				deliveries, err := q.Receive(t.Context(), 0, 0)
				if err != nil {
					t.Error(err)
				}
				for _, d := range deliveries {
					if err := q.Return(t.Context(), d.Batch.ID); err != nil {
						t.Error(err)
					}
				}
			},
			DeadLetters: contract.Buried(q),
		}
	})
}

func TestQueueDefaults(t *testing.T) {
	q := memory.NewQueue(memory.QueueConfig{})
	if err := q.Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 100_000)...)); err != nil {
		t.Fatal(err)
	}
	if err := q.Enqueue(t.Context(), contract.NewBatch(2, contract.Events(1, 1)...)); err == nil {
		t.Error("more than 100,000 events fit")
	}
	_, err := memory.NewQueue(memory.QueueConfig{}).EnqueueOnce(
		t.Context(), domain.KeyedRequest{Key: "key"}, contract.NewBatch(1), domain.Receipt{},
	)
	if err != nil {
		t.Error(err)
	}
}

func TestClock(t *testing.T) {
	c := memory.NewClock(contract.Now)
	c.Advance(time.Hour)
	if want := contract.Now.Add(time.Hour); !c.Now().Equal(want) {
		t.Errorf("shows %v, want %v", c.Now(), want)
	}
	c.Set(contract.Now)
	if !c.Now().Equal(contract.Now) {
		t.Errorf("shows %v, want %v", c.Now(), contract.Now)
	}
}
