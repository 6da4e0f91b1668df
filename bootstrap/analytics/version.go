package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

// buildVersion is the linker's version or else the one that Go recorded.
func buildVersion() string {
	recorded := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		recorded = info.Main.Version
	}
	return cmp.Or(version, recorded, "unknown")
}

// describeBuild adds what helps to tell two builds apart.
func describeBuild() string {
	text := fmt.Sprintf("%s (%s, %s/%s", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		text += commitOf(info)
	}
	return text + ")"
}

// commitOf is empty when Go recorded no commit.
func commitOf(info *debug.BuildInfo) string {
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return ", commit " + setting.Value
		}
	}
	return ""
}
