package bootstrap

// What tests of single parts need to see.
var (
	Maintain       = maintain
	NewHTTPServer  = newHTTPServer
	Background     = background
	RetentionOf    = Config.retention
	StatisticsOf   = Config.statistics
	ProcessOf      = Config.process
	AnswersOf      = Config.answers
	PagesOf        = Config.pages
	DatabaseURLOf  = (*Config).databaseURL
	RedisURLOf     = (*Config).redisURL
	NewFailures    = newFailures
	ServeWith      = webService.serve
	StopWebService = webService.stop
	AddResource    = (*resources).add
	CloseResources = (*resources).close
)

// Resources are what has been opened.
type Resources = resources

// WebService is the part that listens.
type WebService = webService
