package memory

import (
	"cmp"
	"container/list"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// receipts are what is kept for idempotency keys, oldest first.
type receipts struct {
	most, mostBytes int
	bytes           int
	order           list.List
	places          map[domain.KeyHash]*list.Element
}

type receipt struct {
	key     domain.KeyHash
	data    []byte
	expires time.Time
}

func (r receipt) size() int { return len(r.data) + domain.ReceiptOverhead }

func newReceipts(most, mostBytes int) receipts {
	return receipts{
		most:      cmp.Or(most, domain.DefaultMaxReceipts),
		mostBytes: cmp.Or(mostBytes, domain.DefaultMaxReceiptBytes),
		places:    make(map[domain.KeyHash]*list.Element),
	}
}

// isOver reports whether the receipt's time is over, or was set by a clock that
// was wrong.
func (r receipt) isOver(now time.Time) bool {
	left := r.expires.Sub(now)
	return left <= 0 || left > domain.IdempotencyLifetime+domain.ReceiptTolerance
}

func (r *receipts) get(key domain.KeyHash, now time.Time) ([]byte, bool) {
	place, ok := r.places[key]
	if !ok || receiptAt(place).isOver(now) {
		return nil, false
	}
	return receiptAt(place).data, true
}

// add keeps a receipt in place of any earlier one of the key, and makes room
// for it.
func (r *receipts) add(key domain.KeyHash, data []byte, expires time.Time) {
	if earlier, ok := r.places[key]; ok {
		r.remove(earlier)
	}
	added := receipt{key: key, data: data, expires: expires}
	r.places[key] = r.order.PushBack(added)
	r.bytes += added.size()
	for r.order.Len() > r.most || r.bytes > r.mostBytes {
		r.remove(r.order.Front())
	}
}

// expire removes the oldest as far as their time is over.
func (r *receipts) expire(now time.Time) {
	for r.order.Len() > 0 && receiptAt(r.order.Front()).isOver(now) {
		r.remove(r.order.Front())
	}
}

func (r *receipts) remove(place *list.Element) {
	removed := receiptAt(place)
	r.order.Remove(place)
	delete(r.places, removed.key)
	r.bytes -= removed.size()
}

func receiptAt(place *list.Element) receipt { return place.Value.(receipt) }
