package bootstrap

// What tests of single parts need to see.
var (
	Maintain       = maintain
	NewHTTPServer  = newHTTPServer
	Background     = background
	RetentionOf    = Config.retention
	StatisticsOf   = Config.statistics
	ProcessOf      = Config.process
	MergeOf        = Config.merge
	AnswersOf      = Config.answers
	PagesOf        = Config.pages
	LimitsOf       = (*Config).limits
	ProxiesOf      = (*Config).trustedProxies
	DatabaseURLOf  = (*Config).databaseURL
	RedisURLOf     = (*Config).redisURL
	PlacesOf       = (*Config).places
	NewFailures    = newFailures
	ServeWith      = webService.serve
	StopWebService = webService.stop
	AddResource    = (*resources).add
	CloseResources = (*resources).close
	ContainerLimit = containerLimit
	MemoryLimitOf  = memoryLimit
	ConnectionsFor = connectionsFor
)

// NewMemoryOf is a memory of that many bytes.
func NewMemoryOf(limit int64) interface{ Pressed() bool } { return &memoryBudget{limit: limit} }

// BucketsMBOf is what of that memory, in bytes, packed aggregates may take.
func BucketsMBOf(c *Config, limit int64) int { return c.bucketsMB(&memoryBudget{limit: limit}) }

// Resources are what has been opened.
type Resources = resources

// WebService is the part that listens.
type WebService = webService
