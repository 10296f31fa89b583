package page

import "strings"

// LocalPath is a path of ours to go on with, whatever a link or a form says: browsers take // and /\ for another host.
func LocalPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
