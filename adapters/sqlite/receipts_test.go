package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// Fresh keys without end leave the file as large as the bound says.
func TestReceiptsLeaveTheDiskItsRoom(t *testing.T) {
	const requests, room = 500, 96 << 10
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{MaxReceiptBytes: room})
	receipt := domain.Receipt{AcceptedAt: contract.Now, Accepted: 1, Refused: 99, Omitted: 1187}
	for i := range domain.MaxBatchViolations {
		receipt.Violations = append(receipt.Violations, domain.Violation{
			Index: 1 + i/10, Field: fmt.Sprint("field_", i%10), Code: domain.ViolationType, Message: fmt.Sprintf("field_%d must be a string", i%10),
		})
	}
	file := filepath.Join(dir, "analytics-queue.db")
	sizeAfter := func(from, to int) int64 {
		for n := from; n < to; n++ {
			batch := contract.NewBatch(n, contract.Events(1, 1)...)
			if _, err := queue.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: fmt.Sprint("key-", n)}, batch, receipt); err != nil {
				t.Fatal(err)
			}
			if err := queue.Acknowledge(t.Context(), batch.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.QueueFile().Exec(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	empty := sizeAfter(0, 1)
	full := sizeAfter(1, requests)
	depth, err := queue.Depth(t.Context())
	if err != nil || depth.ReceiptBytes > room || depth.ReceiptBytes < room*9/10 {
		t.Errorf("%+v, %v", depth, err)
	}
	t.Logf("%d receipts count as %d bytes and take %d", depth.Receipts, depth.ReceiptBytes, full-empty)
	if full-empty > room*5/4 {
		t.Errorf("receipts take %d bytes of %d", full-empty, room)
	}
}
