package system_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
)

func TestVolumeOfADirectory(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no right to mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	volume := system.Volume{Name: "store", Path: dir}
	if volume.VolumeName() != "store" {
		t.Errorf("the volume is called %q", volume.VolumeName())
	}
	empty, ok := volume.Space(t.Context())
	if !ok || empty.Total != 4<<20 || empty.Free != 4<<20 {
		t.Errorf("an empty disk of 4 MB is %+v, %v", empty, ok)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if used, ok := volume.Space(t.Context()); !ok || used.Free != 3<<20 || used.Total != 4<<20 {
		t.Errorf("with 1 MB used it is %+v, %v", used, ok)
	}
}

func TestVolumeThatCannotBeMeasured(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "nothing")} {
		if space, ok := (system.Volume{Path: path}).Space(t.Context()); ok {
			t.Errorf("%q has %+v", path, space)
		}
	}
}
