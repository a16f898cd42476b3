package main

import (
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/gitfs/packcache"
)

// openPackCache opens the cache of packs in the node's home, nil if there is to be none.
func openPackCache(s *settings, metrics prometheus.Registerer) (*packcache.Cache, error) {
	if s.PackCacheSize == 0 {
		return nil, nil
	}
	cache, err := packcache.Open(packcache.Config{Dir: filepath.Join(s.Home, "git", "packs"), Bytes: s.PackCacheSize << 20})
	if err != nil {
		return nil, err
	}
	for _, m := range []struct {
		name, help string
		kind       prometheus.ValueType
		value      func(packcache.Stats) int64
	}{
		{"annal_pack_cache_hits_total", "Fetches that got a pack that was there or being made.", prometheus.CounterValue, func(s packcache.Stats) int64 { return s.Hits }},
		{"annal_pack_cache_misses_total", "Fetches whose pack had to be made.", prometheus.CounterValue, func(s packcache.Stats) int64 { return s.Misses }},
		{"annal_pack_cache_file_bytes", "Packs kept in files of the home, in bytes.", prometheus.GaugeValue, func(s packcache.Stats) int64 { return s.FileBytes }},
		{"annal_pack_cache_memory_bytes", "Small packs kept in memory, in bytes.", prometheus.GaugeValue, func(s packcache.Stats) int64 { return s.MemoryBytes }},
	} {
		value := func() float64 { return float64(m.value(cache.Stats())) }
		if m.kind == prometheus.CounterValue {
			metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help}, value))
		} else {
			metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help}, value))
		}
	}
	return cache, nil
}
