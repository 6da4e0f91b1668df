package domain

// place is where an event can break a rule.
type place struct {
	field field
	part  part
	// parameter is the number of the parameter, for its name and value.
	parameter int
}

// part says what of a field is meant.
type part int

const (
	partWhole part = iota
	// The parts of the parameters object.
	partCount
	partBytes
	partName
	partValue
)

// faults are the places in which an event breaks a rule: all counted, the first
// listed.
type faults struct {
	count  int
	listed [MaxEventViolations]place
}

func (f *faults) add(p place) {
	if f.count < len(f.listed) {
		f.listed[f.count] = p
	}
	f.count++
}

// note adds the field unless it is ok.
func (f *faults) note(ok bool, in field) {
	if !ok {
		f.add(place{field: in})
	}
}

// faults looks for all that is wrong with an event that accept refused and that
// is an object without personal names, in the order of the fields. The result
// is valid until the next call.
func (j *judge) faults(d *draft) *faults {
	f := &j.found
	*f = faults{}
	var e Event
	f.note(j.acceptVersion(d.value(fieldVersion), &e), fieldVersion)
	f.note(j.acceptTool(d.value(fieldTool), &e), fieldTool)
	f.note(j.acceptStatus(d.value(fieldStatus), &e), fieldStatus)
	f.note(j.acceptHour(d.value(fieldTimestamp), &e), fieldTimestamp)
	f.note(j.acceptLevel(d.value(fieldLevel), &e), fieldLevel)
	f.note(j.acceptErrorType(d.value(fieldErrorType), &e), fieldErrorType)
	if e.Level.includes(LevelStandard) {
		f.note(acceptResponseTime(d.value(fieldResponseTime), &e), fieldResponseTime)
		f.note(j.acceptService(d.value(fieldService), &e), fieldService)
		f.note(acceptCacheHit(d.value(fieldCacheHit), &e), fieldCacheHit)
		f.note(acceptInteger(d.value(fieldRetryCount), MaxRetryCount, &e.RetryCount), fieldRetryCount)
		f.note(j.acceptCountry(d.value(fieldCountry), &e), fieldCountry)
	}
	if e.Level.includes(LevelDetailed) {
		j.parameterFaults(d, f)
		f.note(j.acceptSession(d.value(fieldSession), &e), fieldSession)
		f.note(acceptInteger(d.value(fieldSequence), MaxSequenceNumber, &e.SequenceNumber), fieldSequence)
	}
	return f
}

// parameterFaults looks at the parameters one by one unless there are too many,
// so that the work for one event is bounded.
func (j *judge) parameterFaults(d *draft, f *faults) {
	raw := d.value(fieldParameters)
	switch {
	case raw == nil:
		return
	case raw[0] != '{':
		f.add(place{field: fieldParameters})
		return
	case len(d.parameters) > MaxParameters:
		f.add(place{field: fieldParameters, part: partCount})
		return
	case d.parametersBytes > MaxParametersBytes:
		f.add(place{field: fieldParameters, part: partBytes})
	}
	for i, p := range d.parameters {
		object, ok := j.appendText(j.object[:0], d.text(p.name))
		if !ok {
			f.add(place{fieldParameters, partName, i})
		}
		if object, ok = j.appendParameter(object, d.text(p.value)); !ok {
			f.add(place{fieldParameters, partValue, i})
		}
		j.object = object
	}
}
