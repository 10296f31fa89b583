package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// DecodeStrict reads a body that must be one JSON object into a struct. What the struct does not know, by its exact name and at any
// depth, is refused by its place, and so is what is not of its type. Members that are not given leave the struct as it was. Its error is
// an [*Error] with HTTP status 400.
func DecodeStrict(body []byte, into any) error {
	if err := checkWellFormed(body); err != nil {
		return err
	}
	if !isObject(bytes.TrimLeft(body, " \t\r\n")) {
		return Invalid("", "the request body must be a JSON object")
	}
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		return Invalid("", "the request body is not valid JSON")
	}
	if err := checkMembers("", tree, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	err := json.Unmarshal(body, into)
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch):
		return Invalid(mismatch.Field, "must be %s", kindInWords(mismatch.Type))
	case err != nil:
		return Invalid("", "the request body cannot be read")
	}
	return nil
}

// checkMembers looks for a member that the type has no field for. Where the type is not a struct, or reads itself, there is none to know.
func checkMembers(path string, value any, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		return checkObject(path, v, t)
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for i, element := range v {
			if err := checkMembers(path+"["+strconv.Itoa(i)+"]", element, t.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkObject(path string, object map[string]any, t reflect.Type) error {
	if t.Kind() != reflect.Struct {
		return nil
	}
	fields := map[string]reflect.Type{}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue // its fields are there themselves
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = f.Type
		names = append(names, name)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := name
		if path != "" {
			at = path + "." + name
		}
		field, known := fields[name]
		if !known {
			err := Invalid(clip(at), "unknown parameter; known are %s", strings.Join(names, ", "))
			err.Code = CodeUnknownParameter
			return err
		}
		if err := checkMembers(at, object[name], field); err != nil {
			return err
		}
	}
	return nil
}

func kindInWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a whole number"
	}
}
