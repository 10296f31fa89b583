// A client of npm's @perplexity-ai/perplexity_ai.
import Perplexity from '@perplexity-ai/perplexity_ai';

import { collect, serve } from './serve.mjs';

const perplexity = new Perplexity({ apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL, maxRetries: 0 });

const client = ({ base_url }) => (base_url ? perplexity.withOptions({ baseURL: base_url }) : perplexity);

const options = ({ headers, max_retries }) => ({ headers, maxRetries: max_retries ?? 0 });

function keep(response, answer) {
  answer.response = response;
  answer.output_text = response.output_text;
}

serve(
  {
    async create(c, answer) {
      keep(await client(c).responses.create(c.body, options(c)), answer);
    },
    async stream(c, answer) {
      await collect(await client(c).responses.create({ ...c.body, stream: true }, options(c)), c, answer);
    },
    async retrieve(c, answer) {
      keep(await client(c).responses.retrieve(c.response_id, options(c)), answer);
    },
    // The library has no parameter for this, but passes a query on.
    async resume(c, answer) {
      const query = { stream: true, starting_after: c.starting_after };
      await collect(await client(c).responses.retrieve(c.response_id, { ...options(c), query, stream: true }), c, answer);
    },
    async cancel(c, answer) {
      keep(await client(c).responses.cancel(c.response_id, options(c)), answer);
    },
  },
  // error is the body as a whole.
  ({ status, error }) => ({ status, type: error?.error?.type, code: error?.error?.code, param: error?.error?.param }),
);
