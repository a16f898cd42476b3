package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds the configuration file, in bytes.
const maxConfigFile = 1 << 20

// settingsFile answers settings from the file that --config or ANNAL_CONFIG names.
// The environment is stronger: what it sets is left alone.
type settingsFile struct {
	path   string
	values map[string]any
}

// readSettingsFile reads the file, if one is named.
func readSettingsFile(args []string) (*settingsFile, error) {
	f := &settingsFile{path: configPath(args)}
	if f.path == "" {
		return f, nil
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if info.Size() > maxConfigFile {
		return nil, fmt.Errorf("config: %s is larger than %d bytes", f.path, maxConfigFile)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := yaml.Unmarshal(text, &f.values); err != nil {
		return nil, fmt.Errorf("config: %s is not a YAML file of 'name: value' lines: %w", f.path, err)
	}
	return f, nil
}

// configPath finds --config before anything is parsed, because what the file says is
// part of the parsing.
func configPath(args []string) string {
	for i, arg := range args {
		if path, ok := strings.CutPrefix(arg, "--config="); ok {
			return path
		}
		if arg == "--config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv("ANNAL_CONFIG")
}

// Validate implements kong.Resolver: it refuses names that are no settings.
func (f *settingsFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, flag := range app.Flags {
		known[flag.Name] = flag.Name != "help" && flag.Name != "config"
	}
	var unknown []string
	for name, value := range f.values {
		if !known[name] {
			unknown = append(unknown, name)
		}
		if _, nested := value.(map[string]any); nested {
			return fmt.Errorf("config: %s: %s must be a value or a list", f.path, name)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return fmt.Errorf("config: %s has settings that do not exist: %s; 'annal config' prints those that do", f.path, strings.Join(unknown, ", "))
	}
	return nil
}

// Resolve implements kong.Resolver.
func (f *settingsFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := f.values[flag.Name]
	if !ok {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	switch value := value.(type) {
	case nil:
		return nil, errors.New("has no value")
	case []any:
		parts := make([]string, len(value))
		for i, part := range value {
			parts[i] = fmt.Sprint(part)
		}
		return strings.Join(parts, ","), nil
	default:
		return fmt.Sprint(value), nil
	}
}
