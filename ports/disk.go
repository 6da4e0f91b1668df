package ports

import "context"

// DiskSpace is the room of a file system, in bytes.
type DiskSpace struct {
	// Free is what the process that writes there may still take.
	Free int64
	// Total is the size of the file system.
	Total int64
}

// Volume is where a store or a queue keeps its data.
type Volume interface {
	// VolumeName is whose data it is, such as "store".
	VolumeName() string
	// Space measures the file system; ok is false where that cannot be done
	// from here, as for a server on another machine.
	Space(ctx context.Context) (space DiskSpace, ok bool)
}
