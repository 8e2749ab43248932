package faultserver

import "slices"

// Faults are all that the servers of this package can do wrong, by their number in the list of misbehaving servers.
func Faults() []Fault {
	all := slices.Concat(
		rangeFaults(), validatorFaults(), bodyFaults(), timeFaults(), statusFaults(), tokenFaults(), redirectFaults(),
		encodingFaults(), lengthFaults(), headerFaults(), tlsFaults(), connectFaults(), connectionFaults(), http2Faults(),
		bitFaults(), manifestFaults(), nameFaults(), uploadFaults(),
	)
	slices.SortStableFunc(all, func(a, b Fault) int { return a.Case - b.Case })
	return all
}

// Named is the fault of that name, or false.
func Named(name string) (Fault, bool) {
	all := Faults()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return all[i], true
}

// On are the faults of some places.
func On(places ...Where) []Fault {
	return slices.DeleteFunc(Faults(), func(f Fault) bool { return !slices.Contains(places, f.Where) })
}
