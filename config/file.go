package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a configuration file and a file with a secret.
const maxFileBytes = 1 << 20

// readFile returns the values of the YAML file at path as nested maps with typed leaves, and all problems of the file,
// each with its line. Where there are problems, the rest of the values is still returned.
func readFile(path string) (map[string]any, []error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, []error{fmt.Errorf("configuration file: %w", err)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	err = decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	}
	if err != nil {
		return nil, []error{fmt.Errorf("%s: not valid YAML: %w", path, err)}
	}
	// Into a plain value, because that is where the library looks for duplicate keys and for aliases without end.
	var plain any
	if err := document.Decode(&plain); err != nil {
		return nil, []error{fmt.Errorf("%s: not valid YAML: %w", path, err)}
	}
	reader := fileReader{path: path}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		reader.report(&document, "", "there is a second YAML document: put everything into one")
	}
	values, _ := reader.value(document.Content[0], configType, "").(map[string]any)
	return values, reader.problems
}

// readBounded reads a file that ought to be small.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %v", path, Bytes(maxFileBytes))
	}
	return data, nil
}

// fileReader walks a YAML document along the types of Config.
type fileReader struct {
	path     string
	problems []error
}

func (r *fileReader) report(node *yaml.Node, key, problem string) {
	where := fmt.Sprintf("%s:%d: ", r.path, node.Line)
	if key != "" {
		where += key + ": "
	}
	r.problems = append(r.problems, errors.New(where+problem))
}

// value returns the value of a node, nil if the node says nothing or is wrong.
func (r *fileReader) value(node *yaml.Node, t reflect.Type, key string) any {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if isNull(node) {
		return nil
	}
	switch {
	case isSection(t) || isMap(t):
		if node.Kind != yaml.MappingNode {
			r.report(node, key, "must be a mapping, with keys of its own below it")
			return nil
		}
		values := map[string]any{}
		r.mapping(node, t, key, values)
		return values
	case node.Kind == yaml.ScalarNode && !isEntries(t):
		// The text as it is written: a key of digits keeps its leading zeros.
		value, err := parseValue(node.Value, t)
		if err != nil {
			r.report(node, key, err.Error())
			return nil
		}
		return value
	case node.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		list := []any{}
		for i, item := range node.Content {
			itemKey := fmt.Sprintf("%s[%d]", key, i)
			if isNull(item) {
				r.report(item, itemKey, "is empty: remove it or fill it in")
				continue
			}
			list = append(list, r.value(item, t.Elem(), itemKey))
		}
		return list
	case t.Kind() == reflect.Slice:
		r.report(node, key, "must be a list")
	default:
		r.report(node, key, "must be a single value, not a list or a mapping")
	}
	return nil
}

// mapping adds the values of a mapping node to values.
func (r *fileReader) mapping(node *yaml.Node, t reflect.Type, path string, values map[string]any) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		keyNode, valueNode := node.Content[i], node.Content[i+1]
		if keyNode.Tag == "!!merge" {
			r.report(keyNode, path, "merge keys (<<) are not supported: write the keys out")
			continue
		}
		key := keyNode.Value
		keyPath := join(path, key)
		if isMap(t) {
			r.mapEntry(keyNode, valueNode, t.Elem(), keyPath, values)
			continue
		}
		fieldType, ok := fieldOf(t, key)
		if !ok {
			r.report(keyNode, keyPath, "unknown key"+suggestKey(t, key))
			continue
		}
		if value := r.value(valueNode, fieldType, keyPath); value != nil {
			values[key] = value
		}
	}
}

// mapEntry adds one entry of a map, whose key the operator chose, to values.
func (r *fileReader) mapEntry(keyNode, valueNode *yaml.Node, elem reflect.Type, path string, values map[string]any) {
	// viper folds keys to lower case. That is right for the names of headers, but would turn a provider into another.
	key := strings.ToLower(keyNode.Value)
	switch {
	case isSection(elem) && key != keyNode.Value:
		r.report(keyNode, path, "must be lower case: write "+key)
		return
	case values[key] != nil:
		r.report(keyNode, path, "is there twice, in upper and lower case")
		return
	case isNull(valueNode), valueNode.Kind == yaml.MappingNode && len(valueNode.Content) == 0:
		r.report(keyNode, path, "is empty: remove it or fill it in")
		return
	}
	if value := r.value(valueNode, elem, path); value != nil {
		values[key] = value
	}
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }
