// Package snippet writes the code that makes a request: a command for a shell, and programs in Python and TypeScript. What stands in a
// request may be anybody's text, so each language's literals are written here, by rules that leave nothing of a text to be taken for code:
// whoever pastes a snippet runs a request and nothing else. Secrets are not in a snippet; it reads them from the environment.
package snippet
