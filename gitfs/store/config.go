package store

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// Config says where a store lies and how much it may use.
type Config struct {
	SharedHome string // folder that all nodes see
	LocalHome  string // folder of this process alone
	Node       string // short name of this node, part of the names of staging folders

	BlockCacheBytes int64 // memory for parts of pack files; default 256 MiB
	BaseCacheBytes  int64 // memory for inflated objects; default 128 MiB
	IdleFiles       int   // files of packs kept open though nobody uses them; default 512
	IdleIndexBytes  int64 // memory for indexes of packs that nobody uses; default 64 MiB
	GraphFrom       int64 // objects from which on a pack may have a commit-graph; default 1,024
	SharedUses      int   // calls to the shared home at a time; default 64
	Workers         int   // families of deltas resolved at a time, by all Receives; default GOMAXPROCS

	Limits Limits // zero fields take DefaultLimits

	// RetryDelays are the waits between attempts to open a registered file that
	// the shared home does not show yet. Default 10, 50, 250, 1000 ms.
	RetryDelays []time.Duration

	// Files is the shared home; nil means the folder SharedHome.
	Files Files
}

// Limits bound what strangers may send. All sizes are in bytes.
type Limits struct {
	PackBytes     int64 // size of a pushed pack; default 2 GiB
	Objects       int64 // objects in a pushed pack; default 5,000,000
	ObjectBytes   int64 // size of one object; default 512 MiB
	MemoryObject  int64 // size up to which an object is held in memory; default 32 MiB
	InflatedBytes int64 // sum of the sizes of all objects of a push; default 16 GiB
	DeltaDepth    int   // deltas between an object and one stored whole; default 4,095
	TreeDepth     int   // folders inside of each other; default 2,048
	TagDepth      int   // tags of tags; default 16
}

// DefaultLimits are the limits of a store that sets none.
func DefaultLimits() Limits {
	return Limits{
		PackBytes:     2 << 30,
		Objects:       5_000_000,
		ObjectBytes:   512 << 20,
		MemoryObject:  32 << 20,
		InflatedBytes: 16 << 30,
		DeltaDepth:    4095,
		TreeDepth:     2048,
		TagDepth:      16,
	}
}

// withDefaults replaces zero fields by those of d.
func (l Limits) withDefaults(d Limits) Limits {
	l.PackBytes = cmp.Or(l.PackBytes, d.PackBytes)
	l.Objects = cmp.Or(l.Objects, d.Objects)
	l.ObjectBytes = cmp.Or(l.ObjectBytes, d.ObjectBytes)
	l.MemoryObject = cmp.Or(l.MemoryObject, d.MemoryObject)
	l.InflatedBytes = cmp.Or(l.InflatedBytes, d.InflatedBytes)
	l.DeltaDepth = cmp.Or(l.DeltaDepth, d.DeltaDepth)
	l.TreeDepth = cmp.Or(l.TreeDepth, d.TreeDepth)
	l.TagDepth = cmp.Or(l.TagDepth, d.TagDepth)
	return l
}

func (c Config) withDefaults() Config {
	c.Node = cmp.Or(c.Node, "node")
	c.BlockCacheBytes = cmp.Or(c.BlockCacheBytes, 256<<20)
	c.BaseCacheBytes = cmp.Or(c.BaseCacheBytes, 128<<20)
	c.IdleFiles = cmp.Or(c.IdleFiles, 512)
	c.IdleIndexBytes = cmp.Or(c.IdleIndexBytes, 64<<20)
	c.GraphFrom = cmp.Or(c.GraphFrom, 1024)
	c.SharedUses = cmp.Or(c.SharedUses, 64)
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Limits = c.Limits.withDefaults(DefaultLimits())
	if c.RetryDelays == nil {
		c.RetryDelays = []time.Duration{
			10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second,
		}
	}
	if c.Files == nil {
		c.Files = DirFiles(c.SharedHome)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.SharedHome == "" || c.LocalHome == "":
		return errors.New("store: shared home and local home must be set")
	case !isPlainName(c.Node):
		return fmt.Errorf("store: node name %q may only have letters, digits, dots, dashes and underscores", c.Node)
	case c.BlockCacheBytes < minBlockCache:
		return fmt.Errorf("store: block cache must have at least %d bytes", minBlockCache)
	case c.BaseCacheBytes < 0 || c.IdleFiles < 0 || c.IdleIndexBytes < 0 || c.SharedUses < 1 || c.Workers < 1:
		return errors.New("store: sizes and counts must be positive")
	case c.Limits.MemoryObject > c.Limits.ObjectBytes:
		return errors.New("store: an object held in memory cannot be larger than any object may be")
	}
	return nil
}

// isPlainName reports whether s is safe as a part of a file name.
func isPlainName(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[0] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
}
