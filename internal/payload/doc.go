// Package payload encrypts what runs carry in Temporal: inputs and results, heartbeats, memos, signals, queries, updates, the texts that
// people read in the Web UI, and the messages of failures. Names stay readable, since Temporal works with them: IDs of workflows, types,
// search attributes, and the types of errors.
//
// A payload is bound to its workflow: an encrypted payload that somebody copies into another workflow does not open there. The ID of the
// workflow stands beside it, in its metadata, so that those who have nothing but the payload (the codec endpoint) can open it; where the
// workflow is known, it must be that one. docs/decisions/0011-encrypted-payloads.md has the reasons.
package payload
