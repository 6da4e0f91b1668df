package domain

// IsToolName reports whether s has the form of a tool's name, in the catalogue
// or not, and looks like nothing personal.
func IsToolName(s string) bool { return isCatalogueName(s) && isImpersonal(s, PersonalValue) }

// ParseFilter checks the values by which a reader wants to filter; empty ones
// keep all. The country may be in any case. Only the form counts, since retired
// tools, old versions and retired services stay asked for, and that values look
// like nothing personal, since databases may log them. Its error is of
// [CodeInvalid] and begins with the dimension's name.
func ParseFilter(f Filter) (Filter, error) {
	country, isCountry := parseCountry([]byte(f.Country))
	switch {
	case f.Tool != "" && !IsToolName(f.Tool):
		return Filter{}, NewError(CodeInvalid, nil, "tool must be 1 to 64 characters of [0-9a-z_-], and nothing like personal data")
	case f.Version != "" && !isVersion(f.Version):
		return Filter{}, NewError(CodeInvalid, nil, "version must be 1 to 20 characters of [0-9A-Za-z.+_-]")
	case f.Country != "" && !isCountry:
		return Filter{}, NewError(CodeInvalid, nil, "country must be an ISO 3166-1 alpha-2 code, such as US, or XK")
	case f.Service != "" && !isCatalogueName(f.Service):
		return Filter{}, NewError(CodeInvalid, nil, "service must be 1 to 64 characters of [0-9a-z_-]")
	case !isImpersonal(f.Version, PersonalVersion):
		return Filter{}, NewError(CodeInvalid, nil, "version must not look like personal data, such as a network address")
	case !isImpersonal(f.Service, PersonalValue):
		return Filter{}, NewError(CodeInvalid, nil, "service must not look like personal data, such as a telephone number")
	}
	f.Country = country
	return f, nil
}

func isVersion(s string) bool {
	return s != "" && len(s) <= MaxVersionLength && all([]byte(s), isVersionCharacter)
}

func isImpersonal(s string, look func(string) (Personal, bool)) bool {
	_, personal := look(s)
	return !personal
}
