package config

import (
	"encoding"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// parseValue turns text into a value of type t, the type of a key that is neither a section nor a map. Its errors say
// what the text must be and never repeat it: it may be a secret in the wrong place.
func parseValue(text string, t reflect.Type) (any, error) {
	if value, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
		if err := value.UnmarshalText([]byte(text)); err != nil {
			return nil, explain(err, t)
		}
		return reflect.ValueOf(value).Elem().Interface(), nil
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, errors.New("must be a duration such as 500ms, 15s or 2m30s")
		}
		return d, nil
	case t.Kind() == reflect.Slice:
		return parseList(text, t.Elem())
	case t.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, errors.New("must be a whole number")
		}
		return n, nil
	case t.Kind() == reflect.Bool:
		switch text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, errors.New("must be true or false")
	default:
		return text, nil
	}
}

// parseList reads a list from its elements separated by commas.
func parseList(text string, elem reflect.Type) (any, error) {
	list := []any{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		value, err := parseValue(part, elem)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}

// explain replaces errors of the standard library, which repeat the text, by what the type asks for.
func explain(err error, t reflect.Type) error {
	switch t {
	case reflect.TypeFor[netip.Prefix]():
		return errors.New("must be a network such as 10.0.0.0/8 or fd00::/8")
	case reflect.TypeFor[slog.Level]():
		return errors.New("must be debug, info, warn or error")
	default:
		return err
	}
}
