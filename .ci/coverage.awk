# Reads a Go coverage profile in which a block may stand many times, once for
# each test binary, and prints how many percent of the statements ran: in
# domain, in app and in the whole. Fails when one is below its variable.

$1 != "mode:" {
	statements[$1] = $2
	if ($3 > 0) ran[$1] = 1
}

END {
	for (block in statements) {
		count("whole", block)
		if (block ~ "^[^:]*/weather-mcp-analytics/domain/") count("domain", block)
		if (block ~ "^[^:]*/weather-mcp-analytics/app/") count("app", block)
	}
	report("domain", domain)
	report("app", app)
	report("whole", whole)
	exit failed
}

function count(part, block) {
	all[part] += statements[block]
	if (block in ran) covered[part] += statements[block]
}

function report(part, minimum,    percent) {
	percent = all[part] ? 100 * covered[part] / all[part] : 0
	printf "coverage of %-6s %5.1f %% (at least %d)\n", part, percent, minimum
	if (percent < minimum) failed = 1
}
