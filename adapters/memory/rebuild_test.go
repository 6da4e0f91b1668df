package memory_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestRebuild(t *testing.T) { contract.Rebuild(t, openStore) }
