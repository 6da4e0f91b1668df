package contract

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// largeBatch is a batch of one event with the largest parameters.
func largeBatch(number int) domain.Batch {
	e := Events(uint64(number), 1)[0]
	text := strings.Repeat(fmt.Sprintf("%08d", number), domain.MaxParameterLength/8)
	members := make([]string, domain.MaxParameters)
	for i := range members {
		members[i] = fmt.Sprintf(`"name of parameter %02d":"%s"`, i, text)
	}
	e.Level = domain.LevelDetailed
	e.Parameters = "{" + strings.Join(members, ",") + "}"
	return NewBatch(number, e)
}

// Room for ten large batches and a bit, of which a queue may take twice as much
// as their parameters have.
const roomInBytes = 41_000

func bytesHeld(t *testing.T, q ports.QueueMeter) int {
	t.Helper()
	depth, err := q.Depth(t.Context())
	must(t, err)
	return depth.Bytes
}

func testBytes(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 1000, Bytes: roomInBytes}).Queue
	var held []domain.Batch
	var err error
	for n := 1; err == nil && n < 100; n++ {
		b := largeBatch(n)
		if n%2 == 0 {
			err = q.Enqueue(t.Context(), b)
		} else {
			_, err = q.EnqueueOnce(t.Context(), keyed(strconv.Itoa(n)), b, receiptOf(n))
		}
		if err == nil {
			held = append(held, b)
		}
	}
	checkCode(t, err, domain.CodeQueueFull)
	full := bytesHeld(t, q)
	if len(held) < 10 || len(held) > 20 || full > roomInBytes || full < roomInBytes*3/4 {
		t.Fatalf("%d batches of %d bytes of parameters take %d bytes of %d",
			len(held), len(held[0].Events[0].Parameters), full, roomInBytes)
	}
	checkReceived(t, receive(t, q, 1000), deliveriesOf(1, held...)...)
	checkCode(t, q.Enqueue(t.Context(), largeBatch(98)), domain.CodeQueueFull)
	must(t, q.Acknowledge(t.Context(), held[0].ID))
	must(t, q.Return(t.Context(), held[1].ID))
	if less := bytesHeld(t, q); less > full*(len(held)-1)/len(held)+100 {
		t.Errorf("%d bytes of %d after one of %d is acknowledged", less, full, len(held))
	}
	enqueue(t, q, largeBatch(99))
	must(t, q.Bury(t.Context(), held[2].ID, "reason"))
	enqueue(t, q, largeBatch(100))
	must(t, q.Acknowledge(t.Context(), idsOf(append(deliveriesOf(1, held...), deliveriesOf(1, largeBatch(99), largeBatch(100))...))...))
	if left := bytesHeld(t, q); left != 0 {
		t.Errorf("an empty queue takes %d bytes", left)
	}
}

func testConcurrentBytes(t *testing.T, open OpenQueue) {
	const callers = 40
	q := open(t, QueueBounds{Events: 1000, Bytes: roomInBytes}).Queue
	var accepted atomic.Int64
	inParallel(callers, func(i int) {
		if err := q.Enqueue(t.Context(), largeBatch(i+1)); err == nil {
			accepted.Add(1)
		} else {
			checkCode(t, err, domain.CodeQueueFull)
		}
	})
	if n := accepted.Load(); n < 10 || n > 20 || bytesHeld(t, q) > roomInBytes {
		t.Errorf("accepted %d batches, which take %d bytes of %d", n, bytesHeld(t, q), roomInBytes)
	}
}

// buryAll queues large batches and buries them one by one.
func buryAll(t *testing.T, q QueuePorts, batches ...domain.Batch) {
	t.Helper()
	for _, b := range batches {
		enqueue(t, q, b)
		receive(t, q, 1)
		must(t, q.Bury(t.Context(), b.ID, "reason"))
	}
}

func testDeadLettersInNumber(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100, DeadLetters: 3})
	var letters []DeadLetter
	for n := 1; n <= 5; n++ {
		buryAll(t, h.Queue, batchOf(n, 2))
		letters = append(letters, DeadLetter{batchOf(n, 2), "reason"})
	}
	checkDeadLetters(t, h, letters[2:]...)
	checkDepth(t, h.Queue, ports.QueueDepth{DeadLetters: 3})
}

func testDeadLettersInBytes(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100, DeadLetterBytes: roomInBytes})
	var letters []DeadLetter
	for n := 1; n <= 25; n++ {
		buryAll(t, h.Queue, largeBatch(n))
		letters = append(letters, DeadLetter{largeBatch(n), "reason"})
	}
	kept := len(h.DeadLetters(t))
	if kept < 10 || kept > 20 {
		t.Fatalf("%d dead letters are kept in %d bytes", kept, roomInBytes)
	}
	checkDeadLetters(t, h, letters[25-kept:]...)
}
