package bootstrap_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// smallDisk has 100 MB.
type smallDisk struct{}

func (smallDisk) VolumeName() string { return "store" }

func (smallDisk) Space(context.Context) (ports.DiskSpace, bool) {
	return ports.DiskSpace{Free: 50 << 20, Total: 100 << 20}, true
}

// A reserve larger than the disk is refused at the start.
func TestReserveLargerThanTheDisk(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := bootstrap.Run(ctx, load(t, "PORT=0", "DATA_DIR="+t.TempDir(), "DISK_RESERVE_MB=100"), bootstrap.Options{
		Log: slog.New(slog.DiscardHandler), Volumes: []ports.Volume{smallDisk{}},
	})
	const want = "DISK_RESERVE_MB is 100, and the disk of the store has 100 MB in all, " +
		"so that no event would ever be taken in: give less, or a larger disk"
	if err == nil || err.Error() != want || domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("error is %v\nwant %s", err, want)
	}
}
