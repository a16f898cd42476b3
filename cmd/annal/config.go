package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

type configCommand struct{}

// Run prints the settings in effect as a configuration file.
func (configCommand) Run(kctx *kong.Context, c console) error {
	fmt.Fprintln(c.out, "# Settings in effect. Secrets are shown as xxxxx.")
	for _, flag := range kctx.Model.Flags {
		if flag.Name == "help" || flag.Name == "config" {
			continue
		}
		value := flag.Target.Interface()
		if text, ok := value.(string); ok && text != "" {
			switch flag.Tag.Get("secret") {
			case "all":
				value = "xxxxx"
			case "url":
				value = hidePassword(text)
			}
		}
		if text, ok := value.(fmt.Stringer); ok {
			value = text.String()
		}
		line, err := yaml.Marshal(map[string]any{flag.Name: value})
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, strings.TrimRight(string(line), "\n"))
	}
	return nil
}
