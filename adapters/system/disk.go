package system

import (
	"context"
	"syscall"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Volume is the file system of a directory of this machine.
type Volume struct {
	// Name is whose data it is.
	Name string
	// Path is the directory; empty where it is unknown or another machine's.
	Path string
}

var _ ports.Volume = Volume{}

// VolumeName returns whose data it is.
func (v Volume) VolumeName() string { return v.Name }

// Space measures the file system, as ports.Volume promises.
func (v Volume) Space(context.Context) (ports.DiskSpace, bool) {
	var found syscall.Statfs_t
	if v.Path == "" || syscall.Statfs(v.Path, &found) != nil || found.Blocks == 0 {
		return ports.DiskSpace{}, false
	}
	block := int64(found.Bsize) //nolint:unconvert // it is 32 bits wide on some systems
	return ports.DiskSpace{
		Free:  int64(found.Bavail) * block, //nolint:gosec // far below 2⁶³
		Total: int64(found.Blocks) * block, //nolint:gosec // the same
	}, true
}
