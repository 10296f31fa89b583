package egress

import "fmt"

// ParseOrigin reads an origin such as "https://mcp.example.com" or "http://127.0.0.1:*", whose port stands for any.
func ParseOrigin(s string) (Origin, error) {
	o, err := parseAllowedOrigin(s)
	if err != nil {
		return Origin{}, fmt.Errorf("%q is not an origin; write it like https://mcp.example.com or http://127.0.0.1:*", s)
	}
	return o, nil
}

// Covers reports whether target is the origin, with any port where that of the origin is "*".
func (o Origin) Covers(target Origin) bool {
	return o.scheme == target.scheme && o.host == target.host && o.matchesPort(target.port)
}
