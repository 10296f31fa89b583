// Package workflows is the specification of a run, in deterministic code. Nothing here does I/O, reads a clock, or decodes JSON;
// that is what activities are for.
//
// # A run
//
// One workflow, [Response], is one response; its workflow ID is the response ID.
//
//	            ┌────────────────────────────── any server fails: failed, external_connector_error
//	            │
//	discover × servers ──▶ model_turn ──▶ answer ────────────────▶ completed
//	     (parallel)          ▲   │  │
//	                         │   │  ├──▶ function calls ────────▶ completed, the client goes on
//	                         │   │  ├──▶ length, content filter,
//	                         │   │  │    last turn ─────────────▶ incomplete
//	                         │   │  └──▶ no model answers ──────▶ failed
//	                         │   ▼
//	                         mcp_call × calls
//	                           (parallel)
//
// Every server is listed before the model is asked. Calls of one turn run at the same time, bounded per run and per server, and
// their items stand in the order in which the model asked. When a turn has both MCP calls and function calls, the MCP calls are
// made first, and the run ends with the function calls.
//
// # A run that others start
//
// The API starts a run with what it has made of a request. Any other program starts it with the request itself, [contract.Request]. The
// run's first step is then "accept", which is the API's own code; what it returns goes into the run's memo and search attributes, and from
// there on the run is like any other. A request that is refused ends the run with [ErrTypeInvalid].
//
// # What a run carries
//
// The conversation travels as a [transcript.Transcript], so that history grows with the number of steps and not with its square.
// Settings that all turns share are one blob. Secrets travel sealed. Item IDs derive from the response ID and a counter.
//
// # Runs with long histories
//
// After a turn that was not the last, a run whose history has grown past [Limits.HistoryEvents] or [Limits.HistoryBytes] continues as
// new: it goes on as another execution with the same workflow ID. [Carried] is what it hands over; the rest of its input stays as it
// was. Nothing begins again with that: items, turns, attempts and calls are counted on, servers are not listed again, approvals are not
// claimed again, and the time for the whole run is not prolonged. Nothing is under way at that point, and a cancellation that has
// arrived is obeyed before. See docs/decisions/0014-runs-that-go-on-as-new.md.
//
// # How a run ends
//
// A run ends itself a little before Temporal would end it for taking too long, as failed. Calls that are under way when a run is cancelled,
// or its time is over, are waited for or given up, and leave items: whoever goes on from there must know that they may have been made.
//
// A run that completes, or is incomplete, returns an [Outcome]. One that fails returns an application error of type [ErrTypeFailed]
// or [ErrTypeDiscovery] whose details are an [Outcome] with what there was of output; one that is cancelled returns a cancelled
// error with the same details. So Temporal's own status of the execution tells an operator the truth.
//
// # A batch
//
// One workflow, [Batch], is one batch; its workflow ID is the batch's, and each line of its file is a child that is a [Response].
//
//	batch_begin ──▶ window of lines ──▶ batch_collect × segments ──▶ batch_end
//	                  │    ▲    ▲           in the order of lines
//	                  │    │    └── batch_share: places of the organization
//	                  ▼    │
//	                Response × lines, of which as many run as the window is wide
//
// A line that ends makes room for the next one. What it came to is read by batch_collect, never by the workflow, but for how often a
// provider refused it, by which the window gets narrower. An execution whose history is full goes on as new; [BatchCarried] is what it hands
// over, and batch_await waits for the lines that it leaves behind. See docs/batches.md and docs/decisions/0024-batches.md.
//
// # Versioning
//
// testdata/histories holds runs of released versions, and testdata/carried executions that went on with one, which a test replays. A
// change that breaks one needs workflow.GetVersion, or a reason in docs/decisions. Workers with versions keep a run on the code on which
// it began; see docs/deploying.md.
package workflows
