// Package store keeps what outlives runs in SQL: organizations, members, API keys, sessions, connectors, grants and the audit log. Runs
// themselves are Temporal's.
//
// It runs on SQLite, in a file beside the rest of a machine's data, and on PostgreSQL. Both get the same migrations and the same text of
// each query; where they differ is in sqlite.go, postgres.go and grant_lock.go. One suite of tests runs on both.
//
// Each resource has a file. Its methods take the organization, or an [identity.Actor] who acts in one, and name it in every WHERE: there
// is no way to reach another one's rows with an ID that was guessed. Methods that change something log it in the same transaction.
//
// What is secret is sealed for its row before it is written (see [secret.Binding]), and only the methods that say so open it.
package store
