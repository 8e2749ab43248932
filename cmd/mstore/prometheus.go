package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mstore/mstore"
)

const prometheusName = "prometheus"

// metrics writes the text format of Prometheus.
type metrics struct{ strings.Builder }

// head begins a metric.
func (m *metrics) head(name, kind, help string) {
	fmt.Fprintf(m, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (m *metrics) gauge(name, help string, value float64) {
	m.head(name, "gauge", help)
	fmt.Fprintf(m, "%s %v\n", name, value)
}

func (m *metrics) counter(name, help string, value float64) {
	m.head(name, "counter", help)
	fmt.Fprintf(m, "%s %v\n", name, value)
}

// outcomes is a counter by outcome.
func (m *metrics) outcomes(name, help string, by map[string]int64) {
	m.head(name, "counter", help)
	for _, outcome := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(m, "%s{outcome=%s} %d\n", name, label(outcome), by[outcome])
	}
}

// label is a value in quotes.
func label(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// exposition is the statistics as Prometheus reads them.
func exposition(r *mstore.Stats) string {
	var m metrics
	m.gauge("mstore_models", "Names of models in the store.", float64(len(r.Models)))
	m.gauge("mstore_blobs", "Blobs in the store.", float64(r.Blobs))
	m.gauge("mstore_used_bytes", "Bytes of all blobs, each once.", float64(r.Used))
	m.gauge("mstore_needed_bytes", "Bytes of the blobs that models and running processes need.", float64(r.Needed))
	m.gauge("mstore_shared_bytes", "Bytes that are not used because models share blobs.", float64(r.Shared))
	m.gauge("mstore_packed_blobs", "Blobs that are packed.", float64(r.Packed))
	m.gauge("mstore_saved_bytes", "Bytes that are not used because blobs are packed.", float64(r.Saved))
	if r.TotalSpace > 0 {
		m.gauge("mstore_free_space_bytes", "Bytes that may be written to the file system.", float64(r.FreeSpace))
		m.gauge("mstore_total_space_bytes", "Size of the file system.", float64(r.TotalSpace))
	}
	for _, pile := range []struct {
		name, what string
		mstore.Pile
	}{
		{"quarantine", "files in quarantine", r.Quarantine}, {"partial", "beginnings of blobs", r.Partial}, {"trash", "blobs in the trash", r.Trash},
	} {
		m.gauge("mstore_"+pile.name+"_files", "Number of "+pile.what+".", float64(pile.Count))
		m.gauge("mstore_"+pile.name+"_bytes", "Bytes of "+pile.what+".", float64(pile.Bytes))
	}
	m.gauge("mstore_leases", "Processes that rely on blobs.", float64(r.Leases))

	m.head("mstore_model_bytes", "gauge", "Bytes of a model.")
	for _, w := range r.Models {
		fmt.Fprintf(&m, "mstore_model_bytes{model=%s} %d\n", label(w.Tag.Name), w.Bytes)
	}
	m.head("mstore_model_last_used_timestamp_seconds", "gauge", "When a model was last used.")
	for _, w := range r.Models {
		fmt.Fprintf(&m, "mstore_model_last_used_timestamp_seconds{model=%s} %d\n", label(w.Tag.Name), w.Tag.LastUsed.Unix())
	}

	a := &r.Acts
	m.outcomes("mstore_pulls_total", "Pulls by outcome.", a.Pulls)
	m.outcomes("mstore_pushes_total", "Pushes by outcome.", a.Pushes)
	m.outcomes("mstore_imports_total", "Imports by outcome.", a.Imports)
	m.outcomes("mstore_gc_runs_total", "Collections by outcome.", a.Sweeps)
	m.counter("mstore_pulls_cached_total", "Pulls for which nothing had to move.", float64(a.Cached))
	m.counter("mstore_fetched_bytes_total", "Bytes that pulls moved.", float64(a.Fetched))
	m.counter("mstore_reused_bytes_total", "Bytes that pulls found in the store.", float64(a.Reused))
	m.counter("mstore_sent_bytes_total", "Bytes that pushes moved.", float64(a.Pushed))
	m.counter("mstore_fetch_seconds_total", "Seconds that pulls took which moved something.", a.Fetching)
	m.counter("mstore_retries_total", "Requests that were tried again.", float64(a.Retries))
	m.counter("mstore_gc_removed_blobs_total", "Blobs that collections removed.", float64(a.Removed))
	m.counter("mstore_gc_freed_bytes_total", "Bytes that collections freed.", float64(a.Freed))
	return m.String()
}
