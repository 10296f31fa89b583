package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const envPrefix = "PERDURE_"

// envFile names the configuration file when no flag does.
const envFile = envPrefix + "CONFIG"

// maxListIndex bounds PERDURE_AUTH_API_KEYS_<n>_….
const maxListIndex = 999

// serviceLink and servicePort match the variables that Kubernetes puts into every container of a namespace with a
// Service whose name starts with "perdure". They are not ours and not a typing error. PERDURE_PORT is theirs only with
// a URL as its value: with a number it is an operator's guess at http.address.
var (
	serviceLink = regexp.MustCompile(`^PERDURE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	servicePort = regexp.MustCompile(`^PERDURE_(\w+_)?PORT=(tcp|udp|sctp)://`)
)

// environment is the process environment by name. Empty variables are left out: for Perdure they are not set, since
// that is what compose files and charts produce for a value that nobody filled in.
type environment map[string]string

func newEnvironment(environ []string) environment {
	env := environment{}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok && value != "" {
			env[name] = value
		}
	}
	return env
}

// readEnvironment returns the values of the PERDURE_ variables, the names of those that are no key, and the problems
// of the others. It reads the names of maps' entries against those that the file has.
func readEnvironment(env environment, file map[string]any) (values map[string]any, unknown []string, problems []error) {
	values = map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		suffix, ok := strings.CutPrefix(name, envPrefix)
		if !ok || isForeign(name, env[name]) {
			continue
		}
		if long, short := shortNames[name]; short {
			if suffix = long; env[envPrefix+long] != "" {
				continue // the exact name counts
			}
		}
		path, leaf, ok := findKey(suffix, configType, file)
		if !ok {
			unknown = append(unknown, name)
			continue
		}
		value, err := parseValue(env[name], leaf)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		put(values, path, value)
	}
	if err := indexLists(values, configType, envPrefix); err != nil {
		problems = append(problems, err)
	}
	return values, unknown, problems
}

// isForeign reports whether a PERDURE_ variable is not meant for the configuration.
func isForeign(name, value string) bool {
	return name == envFile || name == "PERDURE_TEMPORAL_BINARY" || strings.HasPrefix(name, "PERDURE_TEST_") ||
		serviceLink.MatchString(name) || servicePort.MatchString(name+"="+value)
}

// findKey finds the key whose path, written in upper case and joined by underscores, is name. Keys contain underscores
// themselves, so it tries each way to split the name. file is the part of the configuration file at t, if there is one.
func findKey(name string, t reflect.Type, file any) (path []string, leaf reflect.Type, ok bool) {
	section, _ := file.(map[string]any)
	descend := func(key string, length int, t reflect.Type) bool {
		var rest string
		if length < len(name) {
			if name[length] != '_' || length+1 == len(name) {
				return false
			}
			rest = name[length+1:]
		}
		path, leaf, ok = findKey(rest, t, section[key])
		path = append([]string{key}, path...)
		return ok
	}
	switch {
	case isSection(t):
		for _, f := range fieldsOf(t) {
			if strings.HasPrefix(name, envName(f.key)) && descend(f.key, len(f.key), f.typ) {
				return path, leaf, true
			}
		}
	case isEntries(t):
		index, _, _ := strings.Cut(name, "_")
		if n, err := strconv.Atoi(index); err == nil && n >= 0 && n <= maxListIndex && strconv.Itoa(n) == index {
			return path, leaf, descend(index, len(index), t.Elem())
		}
	case isMap(t) && isSection(t.Elem()):
		for _, key := range slices.Sorted(maps.Keys(section)) {
			if strings.HasPrefix(name, envName(key)) && descend(key, len(key), t.Elem()) {
				return path, leaf, true
			}
		}
		for i := 1; i < len(name); i++ {
			if name[i] == '_' && descend(strings.ToLower(name[:i]), i, t.Elem()) {
				return path, leaf, true
			}
		}
	case isMap(t):
		// The names of headers have dashes, which a variable cannot have: these are for the file only.
	case name == "":
		return nil, t, true
	}
	return nil, nil, false
}

func envName(key string) string { return strings.ToUpper(strings.ReplaceAll(key, "-", "_")) }

func put(values map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		below, ok := values[key].(map[string]any)
		if !ok {
			below = map[string]any{}
			values[key] = below
		}
		values = below
	}
	values[path[len(path)-1]] = value
}

// indexLists turns the entries that put has made under the keys "0", "1", … into lists.
func indexLists(values map[string]any, section reflect.Type, prefix string) error {
	var problems []error
	for _, f := range fieldsOf(section) {
		below, ok := values[f.key].(map[string]any)
		if !ok {
			continue
		}
		name := prefix + envName(f.key) + "_"
		switch {
		case isSection(f.typ):
			problems = append(problems, indexLists(below, f.typ, name))
		case isEntries(f.typ):
			list := make([]any, len(below))
			for i := range list {
				if list[i], ok = below[strconv.Itoa(i)]; !ok {
					problems = append(problems, fmt.Errorf("%s%d_…: is missing: number the entries from 0 without a gap", name, i))
					break
				}
				if entry, ok := list[i].(map[string]any); ok {
					problems = append(problems, indexLists(entry, f.typ.Elem(), fmt.Sprintf("%s%d_", name, i)))
				}
			}
			values[f.key] = list
		}
	}
	return errors.Join(problems...)
}

// unknownVariables reports the variables that are neither keys nor named by one: an operator may well keep a
// provider's key in PERDURE_OPENAI_KEY.
func unknownVariables(unknown []string, c Config) []error {
	var known []string
	for _, path := range keyPaths(configType, "") {
		if _, err := typeAt(strings.Split(path, ".")); err == nil {
			known = append(known, envPrefix+envName(strings.ReplaceAll(path, ".", "_")))
		}
	}
	named := c.namedVariables()
	var problems []error
	for _, name := range unknown {
		if slices.Contains(named, name) {
			continue
		}
		hint := ": remove it, or write it as the path of a key in upper case, such as PERDURE_HTTP_ADDRESS"
		if similar := nearest(name, known); similar != "" {
			hint = ": did you mean " + similar + "?"
		}
		problems = append(problems, fmt.Errorf("%s: there is no such key%s", name, hint))
	}
	return problems
}
