package memory_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func openStore(*testing.T) contract.StoreHarness {
	s := memory.NewStore()
	return contract.StoreHarness{
		Store:  s,
		Events: func(*testing.T) []domain.Event { return s.Events() },
	}
}

func TestStore(t *testing.T) { contract.Store(t, openStore) }

func TestSameStatistics(t *testing.T) { contract.SameStatistics(t, openStore) }
