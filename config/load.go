package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Options are the sources of a configuration, the weakest first. Each one overrides the keys that it sets; a list is
// replaced as a whole.
type Options struct {
	// File is the path of a YAML file. If it is empty, the variable PERDURE_CONFIG names the file; if that is empty
	// too, there is none.
	File string

	// Environ is the process environment as os.Environ returns it. A key's variable is its path in upper case with
	// underscores: PERDURE_HTTP_ADDRESS is http.address. A list is separated by commas; an entry of a list of sections
	// has its number from 0 in the place of its name, as in PERDURE_AUTH_API_KEYS_0_NAME; a provider has its name, as
	// in PERDURE_MODELS_PROVIDERS_OPENAI_BASE_URL. An empty variable counts as not set.
	Environ []string

	// Flags are values from the command line by the path of their key, as text: "http.address": ":8080".
	Flags map[string]string
}

// Load reads the configuration from its sources over Default, looks up the secrets that are in variables and files,
// and validates the result. Its error lists all problems that one pass finds, one a line; each names its place (line,
// variable or key) and the remedy, none contains a value that may be secret.
func Load(o Options) (Config, error) {
	env := newEnvironment(o.Environ)
	if o.File == "" {
		o.File = env[envFile]
	}
	var file map[string]any
	var problems []error
	if o.File != "" {
		file, problems = readFile(o.File)
	}
	variables, unknown, envProblems := readEnvironment(env, file)
	flags, flagProblems := readFlags(o.Flags)
	problems = slices.Concat(problems, envProblems, flagProblems)

	dropWeakerKeys(file, variables, flags)
	c, err := merge(file, variables, flags)
	if err != nil {
		return Config{}, errors.Join(append(problems, err)...)
	}
	problems = append(problems, unknownVariables(unknown, c)...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if err := c.resolve(env); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// merge puts the sources, the weakest first, over the defaults. The sources have checked their keys and parsed their
// values, so an error here is a defect of this package.
func merge(sources ...map[string]any) (Config, error) {
	// Not the dot, viper's default, between the keys of a path: the names of headers may contain it.
	v := viper.NewWithOptions(viper.KeyDelimiter("\x00"))
	for _, source := range sources {
		if err := v.MergeConfigMap(source); err != nil {
			return Config{}, fmt.Errorf("merge the configuration: %w", err)
		}
	}
	c := Default()
	err := v.UnmarshalExact(&c, func(d *mapstructure.DecoderConfig) {
		d.DecodeHook = nil
		d.WeaklyTypedInput = false
	})
	if err != nil {
		return Config{}, fmt.Errorf("decode the configuration: %w", err)
	}
	return c, nil
}

func readFlags(flags map[string]string) (values map[string]any, problems []error) {
	values = map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(flags)) {
		keys := strings.Split(path, ".")
		leaf, err := typeAt(keys)
		if err == nil {
			var value any
			if value, err = parseValue(flags[path], leaf); err == nil {
				put(values, keys, value)
			}
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", path, err))
		}
	}
	return values, problems
}

// typeAt returns the type of the single value at a path.
func typeAt(path []string) (reflect.Type, error) {
	t := configType
	for _, key := range path {
		switch {
		case isSection(t):
			below, ok := fieldOf(t, key)
			if !ok {
				return nil, errors.New("unknown key" + suggestKey(t, key))
			}
			t = below
		case isMap(t) && key != "" && key == strings.ToLower(key):
			t = t.Elem()
		default:
			return nil, errors.New("unknown key")
		}
	}
	if isSection(t) || isMap(t) || isEntries(t) {
		return nil, errors.New("has keys of its own: set one of them")
	}
	return t, nil
}
