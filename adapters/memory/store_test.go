package memory_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func openStore(t *testing.T) contract.StoreHarness {
	t.Helper()
	return openBounded(t, domain.Cardinality{})
}

func openBounded(t *testing.T, limits domain.Cardinality) contract.StoreHarness {
	t.Helper()
	s := memory.NewBoundedStore(limits)
	return contract.StoreHarness{
		Store:  s,
		Events: func(*testing.T) []domain.Event { return s.Events() },
	}
}

func TestStore(t *testing.T) { contract.Store(t, openStore) }

func TestSameStatistics(t *testing.T) { contract.SameStatistics(t, openStore) }

func TestMerger(t *testing.T) { contract.Merger(t, openStore) }

func TestExporter(t *testing.T) {
	contract.Exporter(t, func(t *testing.T) (contract.StoreHarness, ports.Exporter) {
		t.Helper()
		s := memory.NewStore()
		return contract.StoreHarness{Store: s}, s
	})
}

func TestCardinality(t *testing.T) { contract.Cardinality(t, openBounded) }

func TestSameCardinality(t *testing.T) { contract.SameCardinality(t, openBounded) }
