package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/pflag"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// check returns an error if flags have wrong values. It is called before the configuration file is
// read. Values in the file are checked when they are used.
func (o *serveOptions) check() error {
	if o.ovsdb != "" {
		if err := ovsdb.CheckEndpoint(o.ovsdb); err != nil {
			return misuse("--ovsdb: %v", err)
		}
	}
	for _, e := range o.openflow {
		if err := controller.CheckEndpoint(e); err != nil {
			return misuse("--openflow: %v", err)
		}
	}
	for _, e := range o.api {
		if err := api.Endpoint(e).Check(); err != nil {
			return misuse("--api: %v", err)
		}
	}
	if err := o.etcd.check(); err != nil {
		return err
	}
	if _, err := logging.New(o.logLevel, o.logFormat); err != nil {
		return misuse("--log-level, --log-format: %v", err)
	}
	return nil
}

// readConfig sets flags from the keys of the YAML file called name. Flags on the command line
// take precedence. The error lists every mistake in the file with its position.
func readConfig(ctx context.Context, name string, flags *pflag.FlagSet) error {
	data, err := readFile(ctx, name)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var errs []error
	for _, doc := range file.Docs {
		var values []*ast.MappingValueNode
		switch body := doc.Body.(type) {
		case nil:
		case *ast.MappingNode:
			values = body.Values
		case *ast.MappingValueNode:
			values = []*ast.MappingValueNode{body}
		default:
			pos := body.GetToken().Position
			errs = append(errs, fmt.Errorf("%s:%d:%d: want a mapping of keys and values", name, pos.Line, pos.Column))
		}
		for _, v := range values {
			if err := setFlag(flags, v); err != nil {
				pos := v.Key.GetToken().Position
				errs = append(errs, fmt.Errorf("%s:%d:%d: %w", name, pos.Line, pos.Column, err))
			}
		}
	}
	return errors.Join(errs...)
}

func setFlag(flags *pflag.FlagSet, v *ast.MappingValueNode) error {
	key := v.Key.GetToken().Value
	flag := flags.Lookup(key)
	if flag == nil || key == "config" || key == "help" {
		return fmt.Errorf("%s: unknown key; 'ofdvr serve --help' lists the flags, which are the keys", key)
	}
	nodes := []ast.Node{v.Value}
	if list, ok := v.Value.(*ast.SequenceNode); ok && strings.HasSuffix(flag.Value.Type(), "Slice") {
		nodes = list.Values
	}
	var values []string
	for _, n := range nodes {
		if _, ok := n.(ast.ScalarNode); !ok {
			return fmt.Errorf("%s: want a single value", key)
		}
		if _, null := n.(*ast.NullNode); null {
			values = append(values, "")
			continue
		}
		values = append(values, n.GetToken().Value)
	}
	if flag.Changed {
		return nil
	}
	value := strings.Join(values, ",")
	if err := flag.Value.Set(value); err != nil {
		return fmt.Errorf("%s: %q: %s", key, value, wantedValue(flag, err))
	}
	return nil
}
